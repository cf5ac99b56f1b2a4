import { expect, test } from "vitest";
import { FrameAssembler, LENGTH_BYTES } from "../../../peer/links/frame-assembler.ts";
import { concatBytes, writeUint32 } from "../../../shared/bytes.ts";
import type { PeerloomError } from "../../../shared/errors.ts";

const FRAME_BYTES_MAX = 10_000;

/** Frames as they lie in the byte stream. */
function stream(...frames: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...frames.flatMap((frame) => [lengthOf(frame.length), frame]));
}

function lengthOf(bytes: number): Uint8Array {
  const head = new Uint8Array(LENGTH_BYTES);
  writeUint32(head, 0, bytes);
  return head;
}

const frame = (length: number, seed = length): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

/** What comes out when the stream is read in those pieces, each in memory that is spoilt behind it. */
function assemble(
  pieces: readonly Uint8Array[],
  assembler = new FrameAssembler(FRAME_BYTES_MAX),
): number[][] {
  const frames: number[][] = [];
  for (const piece of pieces) {
    const read = piece.slice();
    assembler.add(read, (each) => frames.push([...each]));
    read.fill(0xee);
  }
  return frames;
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    return (error as PeerloomError).code;
  }
}

test("frames come out whole wherever the stream is cut in two", () => {
  const frames = [frame(1), frame(3), frame(20), frame(1, 9), frame(7)];
  const bytes = stream(...frames);
  const expected = frames.map((each) => [...each]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    expect(assemble([bytes.subarray(0, cut), bytes.subarray(cut)]), `cut at ${cut}`).toEqual(expected);
  }
});

test.each([1, 2, 3, 4, 5, 7, 4_096, 5_000])("frames come out whole in reads of %i bytes", (readBytes) => {
  const frames = [frame(4_091), frame(4_092), frame(4_093), frame(2), frame(FRAME_BYTES_MAX), frame(1)];
  const bytes = stream(...frames);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += readBytes) pieces.push(bytes.subarray(at, at + readBytes));
  expect(assemble(pieces)).toEqual(frames.map((each) => [...each]));
});

test("many frames of one read are views of it, in order", () => {
  const read = stream(...Array.from({ length: 1_000 }, (_, i) => frame(1 + (i % 50), i)));
  const frames: Uint8Array[] = [];
  new FrameAssembler(FRAME_BYTES_MAX).add(read, (each) => frames.push(each));
  expect(frames.map((each) => [...each])).toEqual(
    Array.from({ length: 1_000 }, (_, i) => [...frame(1 + (i % 50), i)]),
  );
  expect(frames.every((each) => each.buffer === read.buffer)).toBe(true);
});

test("a frame that is not complete is not handed on", () => {
  const assembler = new FrameAssembler(FRAME_BYTES_MAX);
  const bytes = stream(frame(100));
  expect(assemble([bytes.subarray(0, -1), new Uint8Array(0)], assembler)).toEqual([]);
  expect(assemble([bytes.subarray(-1)], assembler)).toEqual([[...frame(100)]]);
});

test("the longest frame is taken, and one byte more is not", () => {
  expect(assemble([stream(frame(FRAME_BYTES_MAX))])).toHaveLength(1);
  expect(codeOf(() => assemble([stream(frame(FRAME_BYTES_MAX + 1))]))).toBe("link/frame-too-large");
});

test.each([
  ["no bytes", 0, "wire/malformed"],
  ["one byte too many", FRAME_BYTES_MAX + 1, "link/frame-too-large"],
  ["4 GiB", 0xffffffff, "link/frame-too-large"],
] as const)("a length of %s is refused before its bytes come, however it is cut", (_, length, code) => {
  const good = stream(frame(5));
  for (let cut = 1; cut <= LENGTH_BYTES; cut++) {
    const frames: Uint8Array[] = [];
    const assembler = new FrameAssembler(FRAME_BYTES_MAX);
    const bytes = concatBytes(good, lengthOf(length), Uint8Array.of(1));
    const at = good.length + cut;
    const run = (): void => {
      assembler.add(bytes.subarray(0, at), (each) => frames.push(each.slice()));
      assembler.add(bytes.subarray(at), (each) => frames.push(each.slice()));
    };
    expect(codeOf(run), `cut after ${cut} bytes of the length`).toBe(code);
    expect(frames).toEqual([frame(5)]);
  }
});
