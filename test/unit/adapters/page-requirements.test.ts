/** A page that cannot have a peer is told why, and what to do. */
import { afterEach, expect, test, vi } from "vitest";
import { explainIdentity, requirePage } from "../../../peer/adapters/browser/requirements.ts";

const OUTDATED = {
  code: "page/outdated",
  message: expect.stringContaining("Chrome 137, Firefox 130, Safari 18") as string,
};

afterEach(() => vi.unstubAllGlobals());

test("a page by http from elsewhere has no cryptography", () => {
  vi.stubGlobal("isSecureContext", false);
  expect(requirePage).toThrow(expect.objectContaining({ code: "page/insecure" }));
  vi.stubGlobal("isSecureContext", true);
  requirePage();
});

test("a browser that cannot parse addresses without a throw, or has not the curves, is too old", () => {
  vi.stubGlobal("URL", class {});
  expect(requirePage).toThrow(expect.objectContaining(OUTDATED));
  expect(explainIdentity(new DOMException("Unrecognized name.", "NotSupportedError"))).toMatchObject(
    OUTDATED,
  );
  const other = new DOMException("No room.", "QuotaExceededError");
  expect(explainIdentity(other)).toBe(other);
});
