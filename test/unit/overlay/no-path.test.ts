import { expect, test } from "vitest";
import { type Failure, whyNoPath } from "../../../peer/overlay/no-path.ts";
import { type ErrorCode, PeerloomError } from "../../../shared/errors.ts";
import { parsePeerId } from "../../../shared/ids.ts";

const PEER = parsePeerId("a".repeat(52))!;

function failure(code: ErrorCode, { isLinked = false } = {}): Failure {
  return { way: "relay", isLinked, reason: new PeerloomError(code, "It failed.") };
}

test.each<[string, ErrorCode, readonly Failure[]]>([
  ["nothing could be tried", "connect/no-path", []],
  ["no link stood", "connect/no-path", [failure("link/unavailable"), failure("link/timeout")]],
  [
    "a link stood, and the other side refused",
    "connect/no-path",
    [failure("connect/refused", { isLinked: true })],
  ],
  [
    "a link stood, and nobody answered on it",
    "connect/timeout",
    [failure("link/unavailable"), failure("link/timeout", { isLinked: true })],
  ],
  ["nobody knows it", "peer/not-found", [failure("link/failed"), failure("peer/not-found")]],
  [
    "its network has put this peer out, whatever else",
    "network/banned",
    [failure("peer/not-found"), failure("link/timeout", { isLinked: true }), failure("network/banned")],
  ],
])("%s", (_, code, failures) => {
  expect(whyNoPath(PEER, failures).code).toBe(code);
});

test("what was tried is told, way by way", () => {
  expect(whyNoPath(PEER, [failure("link/failed")]).message).toBe(
    "No path to aaaaaaaa: relay: It failed. (link/failed).",
  );
});
