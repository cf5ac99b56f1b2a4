import { expect, test } from "vitest";
import { withFreshConnections } from "../../../peer/links/webrtc.ts";
import { type ErrorCode, PeerloomError } from "../../../shared/errors.ts";

/** Fails so often, then succeeds. @returns how often it was tried, and what came of it */
async function tried(failures: number, code: ErrorCode, signal?: AbortSignal): Promise<[number, string]> {
  let attempts = 0;
  const attempt = (): Promise<string> => {
    attempts += 1;
    return attempts <= failures ? Promise.reject(new PeerloomError(code, "No.")) : Promise.resolve("open");
  };
  const end = await withFreshConnections(attempt, signal).catch(
    (error: unknown) => (error as PeerloomError).code,
  );
  return [attempts, end];
}

test("a connection that fails at its start is made anew, three times at most", async () => {
  expect(await tried(0, "link/failed")).toEqual([1, "open"]);
  expect(await tried(3, "link/failed")).toEqual([4, "open"]);
  expect(await tried(4, "link/failed")).toEqual([4, "link/failed"]);
});

test("not when it failed in another way, nor when it was given up", async () => {
  expect(await tried(1, "link/timeout")).toEqual([1, "link/timeout"]);
  expect(await tried(1, "link/failed", AbortSignal.abort())).toEqual([1, "link/failed"]);
});
