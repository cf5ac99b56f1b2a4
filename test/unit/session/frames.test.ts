/** What a session says, against bytes written by hand from WIRE.md, both ways; and cut short in every place. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { browserAead } from "../../../peer/adapters/browser/aead.ts";
import { nodeAead } from "../../../peer/adapters/node/aead.ts";
import type { AeadName } from "../../../peer/runtime.ts";
import {
  decodeAttachProof,
  decodeControl,
  encodeAttachProof,
  encodeControl,
  type ControlOperation,
} from "../../../peer/session/control.ts";
import { decodeHello, decodeWelcome, encodeHello, encodeWelcome } from "../../../peer/session/hello.ts";
import { nonceOf } from "../../../peer/session/seal.ts";
import {
  bytesHead,
  encodeStreamFrame,
  readStreamFrames,
  type StreamFrame,
} from "../../../peer/session/stream-frames.ts";
import { concatBytes, fromHex, toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { attachHeader, FRAME, frameHeader, parseFrame, refuseFrame } from "../../../shared/frame.ts";

/** Fields that hold bytes are hex in the file. */
interface Vectors {
  readonly headers: readonly { type: "data" | "control" | "attached"; counter: number; bytes: string }[];
  readonly attachHeader: { sessionId: string; counter: number; bytes: string };
  readonly refuse: { code: string; bytes: string };
  readonly nonce: { counter: number; bytes: string };
  readonly control: readonly { operation: Readonly<Record<string, unknown>>; bytes: string }[];
  readonly attachProof: {
    proof: { linkNonce: string; echo: string; next: number; binding: string };
    bytes: string;
  };
  readonly stream: readonly { frame: Readonly<Record<string, unknown>>; bytes: string }[];
  readonly hello: { publicKey: string; sessionId: string; instance: string; aeads: string[]; bytes: string };
  readonly helloBefore: { bytes: string };
  readonly welcome: { instance: string; aead: AeadName; bytes: string };
  readonly seals: readonly {
    cipher: AeadName;
    key: string;
    nonce: string;
    header: string;
    plaintext: string;
    sealed: string;
  }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../vectors/session-frames.json", import.meta.url), "utf8"),
) as Vectors;

function bytes(hex: string): Uint8Array {
  const parsed = fromHex(hex.replaceAll(" ", ""));
  if (parsed === undefined) throw new Error(`"${hex}" is not hex`);
  return parsed;
}

/** Every prefix of a valid text is refused with a typed error, or is valid by itself; it never crashes. */
function checkCut(whole: Uint8Array, read: (cut: Uint8Array) => void): void {
  for (let length = 0; length < whole.length; length++) {
    try {
      read(whole.slice(0, length));
    } catch (error) {
      expect(error).toBeInstanceOf(PeerloomError);
    }
  }
}

const TAG = "00".repeat(16);

describe("frames", () => {
  test.each(vectors.headers)("$type header", ({ type, counter, bytes: hex }) => {
    expect(frameHeader(FRAME[type], counter)).toEqual(bytes(hex));
    expect(parseFrame(bytes(hex + TAG))).toMatchObject({ type, counter, header: bytes(hex) });
    expect(() => parseFrame(bytes(hex + TAG).subarray(0, -1))).toThrow("too short");
  });

  test("attach, refuse and what no frame begins with", () => {
    const { sessionId, counter, bytes: hex } = vectors.attachHeader;
    expect(attachHeader(bytes(sessionId), counter)).toEqual(bytes(hex));
    expect(parseFrame(bytes(hex + TAG))).toMatchObject({
      type: "attach",
      sessionId: bytes(sessionId),
      counter,
    });
    expect(refuseFrame(vectors.refuse.code)).toEqual(bytes(vectors.refuse.bytes));
    expect(parseFrame(bytes(vectors.refuse.bytes))).toEqual({ type: "refuse", code: vectors.refuse.code });
    for (const type of [0, 8, 255]) expect(() => parseFrame(Uint8Array.of(type, 0))).toThrow("unknown type");
    expect(() => parseFrame(new Uint8Array(0))).toThrow("empty");
  });

  test("a counter is a nonce", () => {
    expect(nonceOf(vectors.nonce.counter)).toEqual(bytes(vectors.nonce.bytes));
  });
});

describe("control operations", () => {
  test.each(vectors.control)("$operation.kind", ({ operation, bytes: hex }) => {
    const value = withBytes(operation, ["linkNonce", "binding"]) as unknown as ControlOperation;
    expect(toHex(encodeControl([value]))).toBe(hex.replaceAll(" ", ""));
    expect(decodeControl(bytes(hex))).toEqual([value]);
    checkCut(bytes(hex), decodeControl);
  });

  test("several in a frame, sixteen at most, none unknown", () => {
    const all = vectors.control.map(({ bytes: hex }) => bytes(hex));
    expect(decodeControl(concatBytes(...all))).toHaveLength(all.length);
    const ping = bytes("02 00000000");
    expect(() => decodeControl(concatBytes(...Array.from({ length: 17 }, () => ping)))).toThrow("too many");
    expect(() => decodeControl(Uint8Array.of(7))).toThrow("unknown operation");
  });

  test("the proof of an attachment", () => {
    const { proof, bytes: hex } = vectors.attachProof;
    const value = {
      linkNonce: bytes(proof.linkNonce),
      echo: bytes(proof.echo),
      next: proof.next,
      binding: bytes(proof.binding),
    };
    expect(encodeAttachProof(value)).toEqual(bytes(hex));
    expect(decodeAttachProof(bytes(hex))).toEqual(value);
    checkCut(bytes(hex), decodeAttachProof);
    expect(() => decodeAttachProof(new Uint8Array(22 + 33))).toThrow("length");
  });
});

describe("stream frames", () => {
  test.each(vectors.stream)("$frame.kind", ({ frame, bytes: hex }) => {
    const value = withBytes(frame, frame["kind"] === "credit" ? [] : ["bytes"]) as unknown as StreamFrame;
    const encoded =
      value.kind === "bytes"
        ? concatBytes(bytesHead(value.id, value.bytes.length), value.bytes)
        : encodeStreamFrame(value);
    expect(toHex(encoded)).toBe(hex.replaceAll(" ", ""));
    expect(readAll(bytes(hex))).toEqual([value]);
    checkCut(bytes(hex), readAll);
  });

  test("one behind the other", () => {
    const all = vectors.stream.map(({ bytes: hex }) => bytes(hex));
    expect(readAll(concatBytes(...all))).toHaveLength(all.length);
    expect(() => readAll(bytes("09 00000001"))).toThrow("unknown stream frame");
    expect(() => readAll(bytes("01 00000001 00000002 03 61"))).toThrow("unknown priority");
  });
});

test("hello and welcome", () => {
  const { publicKey, sessionId, instance, aeads, bytes: hex } = vectors.hello;
  const hello = {
    publicKey: bytes(publicKey),
    sessionId: bytes(sessionId),
    instance: bytes(instance),
    aeads,
  };
  expect(encodeHello(hello)).toEqual(bytes(hex));
  expect(decodeHello(bytes(hex))).toEqual({ versions: { oldest: 1, newest: 2 }, ...hello });
  expect(decodeHello(bytes(vectors.helloBefore.bytes))).toEqual({
    versions: { oldest: 1, newest: 1 },
    ...hello,
  });
  checkCut(bytes(hex), decodeHello);
  const welcome = vectors.welcome;
  expect(encodeWelcome(2, bytes(welcome.instance), welcome.aead)).toEqual(bytes(welcome.bytes));
  expect(decodeWelcome(bytes(welcome.bytes))).toEqual({
    version: 2,
    instance: bytes(welcome.instance),
    aead: welcome.aead,
  });
  checkCut(bytes(welcome.bytes), decodeWelcome);
});

describe("seals", () => {
  const providers = { node: nodeAead, browser: browserAead };
  const cases = vectors.seals.flatMap((vector) =>
    (["node", "browser"] as const)
      .filter((host) => providers[host].supported.includes(vector.cipher))
      .map((host) => ({ host, ...vector })),
  );

  test.each(cases)(
    "$cipher, as $host does it",
    async ({ host, cipher, key, nonce, header, plaintext, sealed }) => {
      const aead = await providers[host].importKey(cipher, bytes(key));
      const open = (changed: Uint8Array): unknown => aead.open(bytes(nonce), bytes(header), changed);
      const made = await aead.seal(bytes(nonce), bytes(header), [bytes(plaintext)]);
      expect(concatBytes(...made)).toEqual(bytes(sealed));
      expect(await open(bytes(sealed))).toEqual(bytes(plaintext));
      for (let at = 0; at < bytes(sealed).length; at += 5) {
        const changed = bytes(sealed);
        changed[at] = (changed[at] as number) ^ 1;
        expect(await open(changed)).toBeUndefined();
      }
    },
  );
});

function readAll(plaintext: Uint8Array): StreamFrame[] {
  const frames: StreamFrame[] = [];
  readStreamFrames(plaintext, (frame) => frames.push(frame));
  return frames;
}

function withBytes(
  value: Readonly<Record<string, unknown>>,
  fields: readonly string[],
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      fields.includes(name) && typeof field === "string" ? bytes(field) : field,
    ]),
  );
}
