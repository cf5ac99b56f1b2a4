import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  encodePortRequest,
  isName,
  isTarget,
  readPortRequest,
} from "../../../peer/services/ports/protocol.ts";
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";

/** A byte stream that gives its bytes in pieces, as a session's streams do. */
function stream(bytes: Uint8Array, pieceBytes = bytes.length): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      if (at < bytes.length) {
        controller.enqueue(bytes.slice(at, at + pieceBytes));
        at += pieceBytes;
      } else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
  });
}

test("a request is read to its last byte and no further, however it is cut", async () => {
  const request = { kind: "connect", target: "web" } as const;
  const bytes = encodePortRequest(request);
  expect(toHex(bytes)).toBe("0103776562");
  for (const pieceBytes of [1, 2, 3, 100]) {
    const readable = stream(Uint8Array.from([...bytes, 1, 2, 3]), pieceBytes);
    expect(await readPortRequest(readable)).toEqual(request);
    expect(new Uint8Array(await buffer(readable))).toEqual(Uint8Array.of(1, 2, 3));
  }
});

test("nonsense is refused as such", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 80 }), async (bytes) => {
      const outcome = await readPortRequest(stream(bytes)).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(PeerloomError);
      else expect(isTarget((outcome as { target: string }).target)).toBe(true);
    }),
  );
});

test("a name cannot be taken for a port", () => {
  for (const port of ["1", "80", "65535"]) expect([isTarget(port), isName(port)]).toEqual([true, false]);
  for (const name of ["web", "a", "db-1.test_2"])
    expect([isTarget(name), isName(name)]).toEqual([true, true]);
  for (const wrong of ["", "0", "080", "65536", "Web", "1a", "a/b", "a b", `a${"b".repeat(64)}`]) {
    expect(isTarget(wrong), wrong).toBe(false);
  }
});
