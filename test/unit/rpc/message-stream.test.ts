import { expect, test } from "vitest";
import { MessageReader, MessageWriter, QUEUED_BYTES_MAX } from "../../../peer/services/rpc/message-stream.ts";

async function readAll(reader: MessageReader): Promise<string[]> {
  const found: string[] = [];
  while (await reader.read((message) => found.push(new TextDecoder().decode(message))));
  return found;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A pipe that cuts what goes through into pieces of so many bytes, and counts the writes. */
function cutting(pieceBytes: number) {
  const counts = { writes: 0 };
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      counts.writes += 1;
      for (let at = 0; at < chunk.length; at += pieceBytes)
        controller.enqueue(chunk.slice(at, at + pieceBytes));
    },
  });
  return { readable, writable, counts };
}

test.for([1, 3, 7, 1_000])(
  "messages come whole, cut into %i bytes on the way, gathered into few writes",
  async (size) => {
    const { readable, writable, counts } = cutting(size);
    const writer = new MessageWriter(writable);
    const sent = Array.from({ length: 100 }, (_, i) => "x".repeat((i % 10) + 1));
    for (const text of sent) writer.send(bytes(text));
    const [found] = await Promise.all([readAll(new MessageReader(readable)), writer.close()]);
    expect(found).toEqual(sent);
    expect(counts.writes).toBe(1);
  },
);

test("the first message is read alone, and the others come behind it", async () => {
  const { readable, writable } = cutting(1_000);
  const writer = new MessageWriter(writable);
  for (const text of ["head", "one", "two"]) writer.send(bytes(text));
  const reader = new MessageReader(readable);
  const closing = writer.close();
  expect(new TextDecoder().decode(await reader.first())).toBe("head");
  expect(await readAll(reader)).toEqual(["one", "two"]);
  await closing;
});

test("a length beyond the limit, or of nothing, is a breach", async () => {
  for (const head of [
    [0xff, 0xff, 0xff, 0xff],
    [0, 0, 0, 0],
  ]) {
    const reader = new MessageReader(new Blob([Uint8Array.from(head)]).stream());
    await expect(readAll(reader)).rejects.toMatchObject({ code: "rpc/protocol" });
  }
});

test("who can wait waits while much is queued, and a failed stream frees all", async () => {
  let take: (() => void) | undefined;
  let refuse: ((error: Error) => void) | undefined;
  const writable = new WritableStream<Uint8Array>({
    write: () =>
      new Promise((resolve, reject) => {
        take = resolve;
        refuse = reject;
      }),
  });
  const writer = new MessageWriter(writable);
  for (let i = 0; i < 4; i++) writer.send(new Uint8Array(QUEUED_BYTES_MAX));
  let hasRoom = false;
  const room = writer.room().then(() => (hasRoom = true));
  const turn = (): Promise<void> => new Promise(setImmediate);
  await turn();
  expect(hasRoom).toBe(false);
  take?.();
  await turn();
  expect(hasRoom).toBe(false);
  refuse?.(new Error("gone"));
  await room;
  expect(writer.queuedBytes).toBe(0);
  writer.send(bytes("late"));
  expect(writer.queuedBytes).toBe(0);
  await expect(writer.close()).rejects.toThrow();
});

test("a stream that has failed is known at once, before anybody who waits for it is told", () => {
  let controller!: WritableStreamDefaultController;
  const writable = new WritableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
  });
  const writer = new MessageWriter(writable);
  expect(writer.isOver).toBe(false);
  controller.error(new Error("reset"));
  expect(writer.isOver).toBe(true);
});
