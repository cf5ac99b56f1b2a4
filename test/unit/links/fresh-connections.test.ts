import { expect, test } from "vitest";
import { withFreshConnections } from "../../../peer/links/webrtc.ts";
import { type ErrorCode, PeerloomError } from "../../../shared/errors.ts";

interface Trial {
  readonly attempts: number;
  readonly end: string;
  /** Between the attempts, ms. */
  readonly waits: readonly number[];
}

/** Fails so often, then succeeds. */
async function tried(failures: number, code: ErrorCode, signal?: AbortSignal): Promise<Trial> {
  let attempts = 0;
  const waits: number[] = [];
  const attempt = (): Promise<string> => {
    attempts += 1;
    return attempts <= failures ? Promise.reject(new PeerloomError(code, "No.")) : Promise.resolve("open");
  };
  const sleep = async (delayMs: number, until?: AbortSignal): Promise<void> => {
    until?.throwIfAborted();
    waits.push(delayMs);
  };
  const host = { clock: { sleep }, random: { unit: () => 0.5 } };
  const end = await withFreshConnections(attempt, host, signal).catch((error: unknown) =>
    error instanceof PeerloomError ? error.code : String(error),
  );
  return { attempts, end, waits };
}

test("a connection that fails at its start is made anew, three times at most, each after a longer wait", async () => {
  expect(await tried(0, "link/failed")).toEqual({ attempts: 1, end: "open", waits: [] });
  expect(await tried(3, "link/failed")).toEqual({ attempts: 4, end: "open", waits: [25, 50, 100] });
  expect(await tried(4, "link/failed")).toMatchObject({ attempts: 4, end: "link/failed" });
});

test("not when it failed in another way, nor when it was given up", async () => {
  expect(await tried(1, "link/timeout")).toEqual({ attempts: 1, end: "link/timeout", waits: [] });
  const reason = new PeerloomError("peer/closed", "This peer is closing.");
  expect(await tried(1, "link/failed", AbortSignal.abort(reason))).toEqual({
    attempts: 1,
    end: "peer/closed",
    waits: [],
  });
});
