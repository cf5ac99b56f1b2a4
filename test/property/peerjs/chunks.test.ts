/** Values in pieces: in whatever order and however many values at once they come, what comes out is what went in. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { pack } from "../../../peer/peerjs/binarypack-writer.ts";
import { serializerOf } from "../../../peer/peerjs/serialization.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const VALUE_BYTES_MAX = 400_000;

async function messagesOf(values: readonly unknown[]): Promise<Uint8Array[]> {
  const sender = serializerOf("binary", VALUE_BYTES_MAX);
  const messages: Uint8Array[] = [];
  for (const value of values)
    for await (const message of sender.encode(value).messages())
      messages.push(Buffer.concat(message as Uint8Array[]));
  return messages;
}

const bytes = fc
  .tuple(fc.integer({ min: 0, max: 200_000 }), fc.nat(255))
  .map(([length, start]) => Uint8Array.from({ length }, (_, i) => (start + i * 7 + (i >> 8)) & 0xff).buffer);

test("in any order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(bytes, { minLength: 1, maxLength: 4 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      async (values, order) => {
        const messages = await messagesOf(values);
        const shuffled = messages
          .map((message) => ({ message, at: order.next().value as number }))
          .toSorted((a, b) => a.at - b.at);
        const receiver = serializerOf("binary", VALUE_BYTES_MAX);
        const came: ArrayBuffer[] = [];
        let held = 0;
        for (const { message } of shuffled) {
          const arrived = receiver.decode(message, 0);
          if (arrived.kind === "close") throw new Error("nobody said close");
          if (arrived.kind === "piece") held += arrived.cost;
          else {
            held -= arrived.released;
            came.push(arrived.value as ArrayBuffer);
          }
        }
        expect(held).toBe(0);
        expect(receiver.deadlineMs).toBeUndefined();
        const sorted = (all: readonly ArrayBuffer[]): string[] =>
          all.map((each) => Buffer.from(each).toString("latin1")).toSorted();
        expect(sorted(came)).toEqual(sorted(values));
      },
    ),
    { numRuns: 30 },
  );
});

test("what a stranger says of pieces is taken or refused, never more held than came", () => {
  const octets = fc.uint8Array({ maxLength: 50 });
  const envelope = fc.record({
    __peerData: fc.oneof(fc.nat(3), fc.string({ maxLength: 3 }), fc.double()),
    n: fc.oneof(fc.nat(5), fc.integer(), fc.double()),
    data: fc.oneof(octets, fc.string({ maxLength: 5 }), fc.constant(null)),
    total: fc.oneof(fc.nat(5), fc.constantFrom(2 ** 32 - 1, 65_536, 65_537, -1, 0.5)),
  });
  fc.assert(
    fc.property(fc.array(envelope, { maxLength: 30 }), (envelopes) => {
      const receiver = serializerOf("binary", VALUE_BYTES_MAX);
      let came = 0;
      let held = 0;
      for (const each of envelopes) {
        const message = packedOf(each);
        if (message === undefined) continue;
        came += message.length;
        try {
          const arrived = receiver.decode(message, 0);
          if (arrived.kind === "piece") held += arrived.cost;
          if (arrived.kind === "value") held -= arrived.released;
        } catch (error) {
          expect(error).toBeInstanceOf(PeerloomError);
          return; // the connection has ended
        }
        // 64 a piece, which has more than 16 bytes of envelope.
        expect(held).toBeLessThanOrEqual(came * 4);
      }
    }),
    { numRuns: 1_000 },
  );
});

function packedOf(value: object): Uint8Array | undefined {
  try {
    return Buffer.concat(pack(value, VALUE_BYTES_MAX).parts as Uint8Array[]);
  } catch {
    return undefined; // a number that cannot be carried
  }
}
