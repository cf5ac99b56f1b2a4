/**
 * Every decoder against random and mutated bytes: it refuses with a PeerloomError, or what it made encodes to bytes that
 * decode and encode to themselves. No other exception, no state left behind.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeSignal, encodeSignal, SIGNALLED_FRAMES_MAX } from "../../peer/links/signal-codec.ts";
import { BATCH_CANDIDATES_MAX } from "../../peer/links/signal-batches.ts";
import type { SignalMessage } from "../../peer/links/signaller.ts";
import { decode, encode, type ScanLimits } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { channelIdFrom, type ChannelId, type PeerId, peerIdFromKey } from "../../shared/ids.ts";
import { ADDRESSES_MAX, BEACONS_MAX } from "../../shared/limits.ts";
import {
  type Contact,
  decodeFromRendezvous,
  decodeToRendezvous,
  encodeFromRendezvous,
  encodeToRendezvous,
  type FromRendezvous,
  type ToRendezvous,
} from "../../shared/messages.ts";

interface Codec<T> {
  readonly name: string;
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => T;
  readonly values: fc.Arbitrary<T>;
}

const LIMITS: ScanLimits = { bytesMax: 65_536 };
const REQUEST_MAX = 0xffff_ffff;

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const text = (charactersMax: number): fc.Arbitrary<string> =>
  fc.string({ unit: "binary", maxLength: charactersMax });
const peerId: fc.Arbitrary<PeerId> = bytes(32).map(peerIdFromKey);
const channelId: fc.Arbitrary<ChannelId> = bytes(16).map(channelIdFrom);
const sealed = fc.uint8Array({ minLength: 1, maxLength: 300 });
const request = fc.integer({ min: 1, max: REQUEST_MAX });
const timeMs = fc.maxSafeNat();
const addresses = fc.array(fc.string({ maxLength: 30 }), { maxLength: ADDRESSES_MAX });
const contact: fc.Arbitrary<Contact> = fc.record({ id: peerId, addresses });
const version = fc.integer({ min: 0, max: 255 });
const signalId = bytes(8);
const is = fc.constant;

const toRendezvous: fc.Arbitrary<ToRendezvous> = fc.oneof(
  fc.record({
    kind: is("join" as const),
    version,
    id: peerId,
    timeMs,
    signature: bytes(64),
    beacon: fc.boolean(),
    addresses,
  }),
  fc.record({ kind: is("signal" as const), request, to: peerId, sealed }),
  fc.record({ kind: is("relay" as const), request, to: peerId, sealed }),
  fc.record({ kind: is("find" as const), request, id: peerId }),
  fc.record({ kind: is("addresses" as const), addresses }),
);

const fromRendezvous: fc.Arbitrary<FromRendezvous> = fc.oneof(
  fc.record({ kind: is("challenge" as const), version, nonce: bytes(32), timeMs }),
  fc.record({
    kind: is("joined" as const),
    beacons: fc.array(contact, { maxLength: BEACONS_MAX }),
    keep: fc.boolean(),
    relay: fc.boolean(),
    members: fc.integer({ min: 0, max: REQUEST_MAX }),
    address: text(60),
  }),
  fc.record({ kind: is("signal" as const), from: peerId, sealed }),
  fc.record({
    kind: is("relay-offer" as const),
    from: peerId,
    channel: channelId,
    ticket: text(200),
    sealed,
  }),
  fc.record({ kind: is("relay-ready" as const), request, channel: channelId, ticket: text(200) }),
  fc.record({ kind: is("found" as const), request, contact: fc.option(contact, { nil: undefined }) }),
  fc.record({ kind: is("release" as const) }),
  fc.record({ kind: is("error" as const), request: fc.nat(REQUEST_MAX), code: text(30), message: text(200) }),
);

const signalMessage: fc.Arbitrary<SignalMessage> = fc.oneof(
  fc.record({ kind: is("dial" as const), dialId: signalId, addresses }),
  fc.record({
    kind: is("rtc" as const),
    connectionId: signalId,
    signal: fc.oneof(
      fc.record({
        kind: is("candidates" as const),
        candidates: fc.array(text(64), { maxLength: BATCH_CANDIDATES_MAX }),
        mid: text(8),
      }),
      fc.record({ kind: fc.constantFrom("offer" as const, "answer" as const), sdp: text(3000) }),
      fc.record({ kind: is("candidate" as const), candidate: text(120), mid: text(16) }),
    ),
  }),
  fc.record({ kind: is("addresses" as const), addresses }),
  fc.record({ kind: is("refuse" as const), id: signalId, code: text(16) }),
  fc.record({
    kind: is("frame" as const),
    linkId: signalId,
    seq: fc.nat(SIGNALLED_FRAMES_MAX - 1),
    frame: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  }),
);

/** Plain data; no -0, which msgpack's integers cannot hold. */
const plain: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: "plain" },
    fc.constantFrom(null, true, false),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).map((number) => (number === 0 ? 0 : number)),
    text(40),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie("value"), { maxLength: 5, depthIdentifier: "plain" }),
    fc.dictionary(
      text(10).filter((key) => key !== "__proto__"),
      tie("value"),
      {
        maxKeys: 5,
        noNullPrototype: true,
        depthIdentifier: "plain",
      },
    ),
  ),
})).value;

/** Random headers with random tails: reaches deeper than noise does. */
const msgpackLike: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        0x80,
        0x81,
        0x82,
        0x90,
        0x91,
        0x92,
        0x93,
        0xa1,
        0xa3,
        0xa9,
        0xc0,
        0xc1,
        0xc4,
        0xc5,
        0xc7,
        0xca,
        0xcb,
      ),
      fc.constantFrom(
        0xcc,
        0xcd,
        0xce,
        0xcf,
        0xd0,
        0xd1,
        0xd2,
        0xd3,
        0xd4,
        0xd5,
        0xd6,
        0xd9,
        0xda,
        0xdc,
        0xde,
        0xdf,
        0x72,
      ),
      fc.integer({ min: 0, max: 255 }),
      fc.constant(0),
    ),
    { maxLength: 120 },
  )
  .map((list) => Uint8Array.from(list));

/** Overwrites, cuts, inserts and doubles. */
const mutations: fc.Arbitrary<(input: Uint8Array) => Uint8Array> = fc
  .array(fc.tuple(fc.nat(3), fc.nat(10_000), fc.integer({ min: 0, max: 255 })), {
    minLength: 1,
    maxLength: 4,
  })
  .map(
    (steps) => (input) => steps.reduce((value, [how, where, byte]) => mutate(value, how, where, byte), input),
  );

const CODECS = [
  codec({ name: "codec", encode, decode: (input) => decode(input, LIMITS), values: plain }),
  codec({
    name: "to a rendezvous",
    encode: encodeToRendezvous,
    decode: decodeToRendezvous,
    values: toRendezvous,
  }),
  codec({
    name: "from a rendezvous",
    encode: encodeFromRendezvous,
    decode: decodeFromRendezvous,
    values: fromRendezvous,
  }),
  codec({ name: "signal", encode: encodeSignal, decode: decodeSignal, values: signalMessage }),
];

for (const { name, roundTrip, fixedPoint, mutated } of CODECS) {
  test(`${name}: what is encoded comes back`, roundTrip);
  test(`${name}: random bytes are refused or a fixed point`, () =>
    fixedPoint(fc.uint8Array({ maxLength: 200 })));
  test(`${name}: bytes that look like msgpack are refused or a fixed point`, () => fixedPoint(msgpackLike));
  test(`${name}: mutated messages are refused or a fixed point`, () => fixedPoint(mutated));
}

function codec<T>({ name, encode: pack, decode: unpack, values }: Codec<T>): {
  readonly name: string;
  readonly roundTrip: () => void;
  readonly fixedPoint: (inputs: fc.Arbitrary<Uint8Array>) => void;
  readonly mutated: fc.Arbitrary<Uint8Array>;
} {
  return {
    name,
    roundTrip: () =>
      fc.assert(
        fc.property(values, (value) => {
          expect(unpack(pack(value))).toEqual(value);
        }),
      ),
    fixedPoint: (inputs) =>
      fc.assert(
        fc.property(inputs, (input) => {
          const before = Uint8Array.from(input);
          const first = attempt(() => unpack(input));
          expect(input).toEqual(before);
          if (first === undefined) return;
          const once = pack(first.value);
          expect(pack(unpack(once))).toEqual(once);
        }),
        { numRuns: 1000 },
      ),
    mutated: fc.tuple(values.map(pack), mutations).map(([input, change]) => change(input)),
  };
}

function mutate(input: Uint8Array, how: number, where: number, byte: number): Uint8Array {
  const at = input.length === 0 ? 0 : where % input.length;
  const list = Array.from(input);
  if (how === 0) list[at] = byte;
  else if (how === 1) list.length = at;
  else if (how === 2) list.splice(at, 0, byte);
  else list.splice(at, 0, ...list.slice(at, at + 16));
  return Uint8Array.from(list);
}

/** Undefined when it was refused; anything but a PeerloomError is a failure. */
function attempt<T>(action: () => T): { readonly value: T } | undefined {
  try {
    return { value: action() };
  } catch (error) {
    if (!(error instanceof PeerloomError)) throw error;
    expect(["wire/malformed", "wire/too-large"]).toContain(error.code);
    return undefined;
  }
}
