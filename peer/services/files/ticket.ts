/**
 * A ticket: text that lets one fetch a share. It holds the manifest's hash, so that nobody can give anything else, and
 * hints of where to begin. It is a capability: who has it can fetch. In links it stays in the fragment.
 */
import { fromBase64Url, toBase64Url } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import {
  type NetworkName,
  parseNetworkName,
  type PeerId,
  peerIdFromKey,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from "../../../shared/ids.ts";
import { ADDRESS_BYTES_MAX, ADDRESSES_MAX } from "../../../shared/limits.ts";
import { CONTENT_BYTES_MAX, HASH_BYTES } from "./chunks.ts";
import { checkName } from "./names.ts";

export interface Ticket {
  /** SHA-256 of the manifest. */
  readonly hash: Uint8Array;
  readonly network: NetworkName;
  /** For people; the manifest says what counts. */
  readonly name: string;
  readonly bytes: number;
  readonly providers: readonly TicketProvider[];
  /** Origin of the edge that knows the providers. */
  readonly edge: string | undefined;
}

export interface TicketProvider {
  readonly id: PeerId;
  readonly addresses: readonly string[];
}

const PREFIX = "peerloom:get/";
const FRAGMENT = "#get=";
const VERSION = 1;
export const TICKET_CHARACTERS_MAX = 8192;
export const PROVIDERS_MAX = 16;
const EDGE_CHARACTERS_MAX = 256;

/** `peerloom:get/…`, letters, digits, `-` and `_` only after it. */
export function formatTicket(ticket: Ticket): string {
  const fields = [
    VERSION,
    ticket.hash,
    ticket.network,
    ticket.name,
    ticket.bytes,
    ticket.edge ?? null,
    ticket.providers
      .slice(0, PROVIDERS_MAX)
      .map(({ id, addresses }) => [publicKeyOf(id), addresses.slice(0, ADDRESSES_MAX)]),
  ];
  return PREFIX + toBase64Url(encode(fields));
}

/**
 * Reads `peerloom:get/…` or a link `https://edge.example/#get=…`.
 * @throws PeerloomError `files/ticket-invalid`
 */
export function parseTicket(text: string): Ticket {
  const bytes = text.length <= TICKET_CHARACTERS_MAX ? fromBase64Url(bodyOf(text.trim())) : undefined;
  if (bytes === undefined || bytes.length === 0) throw invalid();
  try {
    return readTicket(bytes);
  } catch (cause) {
    throw invalid(cause);
  }
}

/**
 * A ticket of one network, for a peer in that network.
 * @throws PeerloomError `files/ticket-invalid`
 */
export function ticketOf(network: NetworkName, text: string): Ticket {
  const ticket = parseTicket(text);
  if (ticket.network === network) return ticket;
  throw new PeerloomError(
    "files/ticket-invalid",
    `The ticket is of network "${ticket.network}", this peer is in "${network}". Open a peer in that one.`,
  );
}

function readTicket(bytes: Uint8Array): Ticket {
  const fields = new FieldReader(decode(bytes, { bytesMax: TICKET_CHARACTERS_MAX, depthMax: 4 }), "ticket");
  fields.integer(VERSION, VERSION);
  const hash = fields.bytes(HASH_BYTES, HASH_BYTES);
  const network = fields.parsed(parseNetworkName, "a network name");
  const name = fields.text(1024);
  checkName(name);
  const total = fields.integer(0, CONTENT_BYTES_MAX);
  const edge = fields.skipNull() ? undefined : fields.parsed(parseEdge, "an edge");
  const providers = fields.list(PROVIDERS_MAX, (item) => {
    const provider = new FieldReader(item, "provider");
    const id = peerIdFromKey(provider.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES));
    const addresses = provider.list(ADDRESSES_MAX, (address) =>
      typeof address === "string" ? address.slice(0, ADDRESS_BYTES_MAX) : "",
    );
    provider.end();
    return { id, addresses };
  });
  fields.end();
  return { hash, network, name, bytes: total, edge, providers };
}

function bodyOf(text: string): string {
  if (text.startsWith(PREFIX)) return text.slice(PREFIX.length);
  const fragment = text.indexOf(FRAGMENT);
  return /^https?:\/\//.test(text) && fragment > 0 ? text.slice(fragment + FRAGMENT.length) : "?";
}

function parseEdge(text: string): string | undefined {
  const url = text.length <= EDGE_CHARACTERS_MAX ? URL.parse(text) : null;
  return url !== null && /^https?:$/.test(url.protocol) ? url.origin : undefined;
}

function invalid(cause?: unknown): PeerloomError {
  return new PeerloomError(
    "files/ticket-invalid",
    'That is no ticket. Copy it whole, from "peerloom:get/" to its last letter, as share printed it.',
    { cause },
  );
}
