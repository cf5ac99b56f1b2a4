/**
 * What a peer and its rendezvous say to each other, one msgpack positional array a message, the kind first.
 * Both directions are unions; decoding is the only place where a stranger's bytes become one of them.
 * The bytes are laid down in WIRE.md, with vectors that both sides run.
 */
import { type Stage, STAGES } from "./budget.ts";
import { concatBytes, utf8 } from "./bytes.ts";
import { decode, encode, FieldReader } from "./codec.ts";
import { PeerloomError } from "./errors.ts";
import { type ChannelId, type NetworkName, parseChannelId, parsePeerId, type PeerId } from "./ids.ts";
import {
  ADDRESS_BYTES_MAX,
  ADDRESSES_MAX,
  BANS_BYTES_MAX,
  BEACONS_MAX,
  RENDEZVOUS_MESSAGE_BYTES_MAX,
  SIGNAL_BYTES_MAX,
} from "./limits.ts";

/** A peer and where it can be dialled: `tcp://HOST:PORT`, `ws://HOST:PORT`, `wss://…`. Addresses may be none. */
export interface Contact {
  readonly id: PeerId;
  readonly addresses: readonly string[];
}

/** From a peer to its rendezvous. `request` numbers are the peer's own and come back in the answer. */
export type ToRendezvous =
  /** Answers the challenge. `signature` is over `joinClaim(...)`. `beacon`: willing to keep the socket for newcomers. */
  | {
      readonly kind: "join";
      readonly version: number;
      readonly id: PeerId;
      readonly timeMs: number;
      readonly signature: Uint8Array;
      readonly beacon: boolean;
      readonly addresses: readonly string[];
    }
  /** Pass `sealed` on to a member. Unknown members are answered with `error` `peer/not-found`. */
  | { readonly kind: "signal"; readonly request: number; readonly to: PeerId; readonly sealed: Uint8Array }
  /** Make a relay channel with a member; `sealed` (a dial signal) lets it decide whether it consents. */
  | { readonly kind: "relay"; readonly request: number; readonly to: PeerId; readonly sealed: Uint8Array }
  /** Where is this member? */
  | { readonly kind: "find"; readonly request: number; readonly id: PeerId }
  /** The listening addresses have changed. */
  | { readonly kind: "addresses"; readonly addresses: readonly string[] }
  /** Private networks: a later ban list than the edge has told. */
  | { readonly kind: "bans"; readonly list: Uint8Array };

/** From a rendezvous to a peer. */
export type FromRendezvous =
  /** First message on the socket. The peer signs nonce, time and the origin it dialled. */
  | {
      readonly kind: "challenge";
      readonly version: number;
      readonly nonce: Uint8Array;
      readonly timeMs: number;
    }
  /** The join is accepted. `keep`: stay connected as a beacon. `address`: where the edge sees the peer, or "". */
  | {
      readonly kind: "joined";
      readonly beacons: readonly Contact[];
      readonly keep: boolean;
      readonly relay: boolean;
      readonly members: number;
      readonly address: string;
    }
  | { readonly kind: "signal"; readonly from: PeerId; readonly sealed: Uint8Array }
  /** A member asks for a relay channel with this peer. To consent, open it with the ticket. */
  | {
      readonly kind: "relay-offer";
      readonly from: PeerId;
      readonly channel: ChannelId;
      readonly ticket: string;
      readonly sealed: Uint8Array;
    }
  /** The answer to `relay`. */
  | {
      readonly kind: "relay-ready";
      readonly request: number;
      readonly channel: ChannelId;
      readonly ticket: string;
    }
  /** The answer to `find`; `contact` is undefined when nobody of that id is here. */
  | { readonly kind: "found"; readonly request: number; readonly contact: Contact | undefined }
  /**
   * How far the edge has withdrawn, and for how many ms; `pass` lets this member in while newcomers are refused ("" where it is none). Sent only to
   * those who asked for it by `?back=` when they dialled: after `joined`, at each change, and before an `error` `edge/over-budget`.
   */
  | { readonly kind: "budget"; readonly stage: Stage; readonly leftMs: number; readonly pass: string }
  /** Private networks: the owner's ban list, after `joined` if there is one, and whenever a later one comes. */
  | { readonly kind: "bans"; readonly list: Uint8Array }
  /** The socket may close now, or must stay: beacons come and go. */
  | { readonly kind: "release" }
  /** `request` 0: about the socket as a whole, which is closed after it. */
  | { readonly kind: "error"; readonly request: number; readonly code: string; readonly message: string };

const LIMITS = { bytesMax: RENDEZVOUS_MESSAGE_BYTES_MAX, depthMax: 4, itemsMax: 512 } as const;
const REQUEST_MAX = 0xffff_ffff;
const TIME_MS_MAX = Number.MAX_SAFE_INTEGER;

/** A day. */
const BUDGET_MS_MAX = 86_400_000;
const PASS_CHARACTERS_MAX = 512;

const JOIN_DOMAIN = "peerloom/join/1";

/**
 * The bytes a newcomer signs: they bind its key to this challenge, this edge, this network and this time, so that a
 * signature got by one edge opens no other.
 */
export function joinClaim(claim: {
  readonly nonce: Uint8Array;
  /** Origin of the edge as the peer dialled it, `https://edge.example`. */
  readonly origin: string;
  readonly network: NetworkName;
  readonly timeMs: number;
}): Uint8Array {
  return concatBytes(
    utf8(`${JOIN_DOMAIN}\n${claim.origin}\n${claim.network}\n${claim.timeMs}\n`),
    claim.nonce,
  );
}

export function encodeToRendezvous(message: ToRendezvous): Uint8Array {
  switch (message.kind) {
    case "join":
      return encode([
        "join",
        message.version,
        message.id,
        message.timeMs,
        message.signature,
        message.beacon,
        message.addresses.slice(0, ADDRESSES_MAX),
      ]);
    case "signal":
    case "relay":
      return encode([message.kind, message.request, message.to, message.sealed]);
    case "find":
      return encode(["find", message.request, message.id]);
    case "addresses":
      return encode(["addresses", message.addresses.slice(0, ADDRESSES_MAX)]);
    case "bans":
      return encode(["bans", message.list]);
  }
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeToRendezvous(bytes: Uint8Array): ToRendezvous {
  const fields = new FieldReader(decode(bytes, LIMITS), "message to the rendezvous");
  const kind = fields.text(16);
  const message = readToRendezvous(kind, fields);
  fields.end();
  return message;
}

function readToRendezvous(kind: string, fields: FieldReader): ToRendezvous {
  switch (kind) {
    case "join":
      return {
        kind,
        version: fields.integer(0, 255),
        id: fields.parsed(parsePeerId, "a peer id"),
        timeMs: fields.integer(0, TIME_MS_MAX),
        signature: fields.bytes(64, 64),
        beacon: fields.boolean(),
        addresses: readAddresses(fields),
      };
    case "signal":
    case "relay":
      return {
        kind,
        request: fields.integer(1, REQUEST_MAX),
        to: fields.parsed(parsePeerId, "a peer id"),
        sealed: fields.bytes(1, SIGNAL_BYTES_MAX),
      };
    case "find":
      return { kind, request: fields.integer(1, REQUEST_MAX), id: fields.parsed(parsePeerId, "a peer id") };
    case "addresses":
      return { kind, addresses: readAddresses(fields) };
    case "bans":
      return { kind, list: fields.bytes(1, BANS_BYTES_MAX) };
    default:
      throw new PeerloomError("wire/malformed", "Malformed message: unknown kind.");
  }
}

export function encodeFromRendezvous(message: FromRendezvous): Uint8Array {
  switch (message.kind) {
    case "challenge":
      return encode(["challenge", message.version, message.nonce, message.timeMs]);
    case "joined":
      return encode([
        "joined",
        message.beacons.map(contactFields),
        message.keep,
        message.relay,
        message.members,
        message.address,
      ]);
    case "signal":
      return encode(["signal", message.from, message.sealed]);
    case "relay-offer":
      return encode(["relay-offer", message.from, message.channel, message.ticket, message.sealed]);
    case "relay-ready":
      return encode(["relay-ready", message.request, message.channel, message.ticket]);
    case "found":
      return encode([
        "found",
        message.request,
        message.contact === undefined ? null : contactFields(message.contact),
      ]);
    case "budget":
      return encode(["budget", STAGES.indexOf(message.stage), Math.ceil(message.leftMs), message.pass]);
    case "bans":
      return encode(["bans", message.list]);
    case "release":
      return encode(["release"]);
    case "error":
      return encode(["error", message.request, message.code, message.message.slice(0, 500)]);
  }
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeFromRendezvous(bytes: Uint8Array): FromRendezvous {
  const fields = new FieldReader(decode(bytes, LIMITS), "message from the rendezvous");
  const kind = fields.text(16);
  const message = readFromRendezvous(kind, fields);
  fields.end();
  return message;
}

function readFromRendezvous(kind: string, fields: FieldReader): FromRendezvous {
  switch (kind) {
    case "challenge":
      return {
        kind,
        version: fields.integer(0, 255),
        nonce: fields.bytes(16, 64),
        timeMs: fields.integer(0, TIME_MS_MAX),
      };
    case "joined":
      return {
        kind,
        beacons: fields.list(BEACONS_MAX, (item) => readContact(new FieldReader(item, "contact"))),
        keep: fields.boolean(),
        relay: fields.boolean(),
        members: fields.integer(0, REQUEST_MAX),
        address: fields.text(ADDRESS_BYTES_MAX),
      };
    case "signal":
      return {
        kind,
        from: fields.parsed(parsePeerId, "a peer id"),
        sealed: fields.bytes(1, SIGNAL_BYTES_MAX),
      };
    case "relay-offer":
      return {
        kind,
        from: fields.parsed(parsePeerId, "a peer id"),
        channel: fields.parsed(parseChannelId, "a channel id"),
        ticket: fields.text(512),
        sealed: fields.bytes(1, SIGNAL_BYTES_MAX),
      };
    case "relay-ready":
      return {
        kind,
        request: fields.integer(1, REQUEST_MAX),
        channel: fields.parsed(parseChannelId, "a channel id"),
        ticket: fields.text(512),
      };
    case "found":
      return {
        kind,
        request: fields.integer(1, REQUEST_MAX),
        contact: fields.skipNull() ? undefined : readContact(fields.nested("contact")),
      };
    case "budget":
      return {
        kind,
        stage: STAGES[fields.integer(0, STAGES.length - 1)] ?? "open",
        leftMs: fields.integer(0, BUDGET_MS_MAX),
        pass: fields.text(PASS_CHARACTERS_MAX),
      };
    case "bans":
      return { kind, list: fields.bytes(1, BANS_BYTES_MAX) };
    case "release":
      return { kind };
    case "error":
      return {
        kind,
        request: fields.integer(0, REQUEST_MAX),
        code: fields.text(64),
        message: fields.text(500),
      };
    default:
      throw new PeerloomError("wire/malformed", "Malformed message: unknown kind.");
  }
}

function contactFields(contact: Contact): unknown[] {
  return [contact.id, contact.addresses.slice(0, ADDRESSES_MAX)];
}

function readContact(fields: FieldReader): Contact {
  const contact = { id: fields.parsed(parsePeerId, "a peer id"), addresses: readAddresses(fields) };
  fields.end();
  return contact;
}

function readAddresses(fields: FieldReader): string[] {
  return fields.list(ADDRESSES_MAX, (item) => {
    if (typeof item !== "string" || item.length > ADDRESS_BYTES_MAX) {
      throw new PeerloomError(
        "wire/malformed",
        `Malformed message: an address is not text of at most ${ADDRESS_BYTES_MAX}.`,
      );
    }
    return item;
  });
}
