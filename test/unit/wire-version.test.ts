/** Two sides speak the newest version that both know, or are told which of them to update. */
import { expect, test } from "vitest";
import { commonVersion } from "../../shared/wire-version.ts";

const own = { oldest: 4, newest: 5 };

test.each([
  [{ oldest: 4, newest: 5 }, 5],
  [{ oldest: 3, newest: 4 }, 4],
  [{ oldest: 5, newest: 6 }, 5],
  [{ oldest: 4, newest: 4 }, 4],
])("with %j it is %i", (theirs, version) => {
  expect(commonVersion(theirs, "peer", own)).toBe(version);
});

test.each([
  [{ oldest: 3, newest: 3 }, "peer", "Update peerloom on the peer"],
  [{ oldest: 2, newest: 3 }, "edge", "Deploy a newer edge"],
  [{ oldest: 6, newest: 7 }, "edge", "Update peerloom on this side"],
] as const)("with %j of the %s there is none: %s", (theirs, who, advice) => {
  expect(() => commonVersion(theirs, who, own)).toThrow(
    expect.objectContaining({ code: "wire/version", message: expect.stringContaining(advice) as string }),
  );
});
