/** What one door, one connection and one value may cost. Everybody who knows an id may connect to it, so all of them are strangers. */

/** The stock client cuts what is longer into pieces of this many bytes, and refuses longer JSON. Its figure, from Firefox's old bound. */
export const CHUNK_BYTES = 16_300;

/** One value, packed, either way. @see PeerJsDoorOptions.valueBytesMax */
export const VALUE_BYTES_DEFAULT: number = 64 * 1024 * 1024;
/** Strings, numbers, arrays, maps and their keys in one value; past that it is refused, or counted bytes would say little of its memory. */
export const VALUE_ITEMS_MAX = 1_000_000;
/** Arrays and maps inside each other. */
export const VALUE_DEPTH_MAX = 128;
/** What an item costs beside its bytes, roughly what V8 takes for an empty object. */
export const ITEM_COST_BYTES = 64;

/** Pieces of one value. The stock client's are full but for the last, so that honest ones are far fewer. */
export const CHUNKS_MAX = 65_536;
/** Values of one connection of which some pieces are missing; an unordered channel with a full window has 256. */
export const CHUNKED_VALUES_MAX = 1_024;
/** A value whose next piece has not come by then never will: SCTP has given up long before. Its connection ends. */
export const CHUNK_WAIT_MS = 120_000;

/**
 * What a connection may hold that the application has not read, in values of the greatest size; past that it ends with
 * `peerjs/unread`: its sender cannot be slowed.
 */
export const UNREAD_VALUES_MAX = 2;
/** The same of all connections of a door. */
export const DOOR_UNREAD_VALUES_MAX = 4;

/** Bytes in the channel's own buffer; past that `send` waits until 256 KiB are left. */
export const UNSENT_BYTES_HIGH: number = 1024 * 1024;
/** Values that wait in `send` for those before them; past that `send` throws. */
export const SENDS_WAITING_MAX = 4_096;

/** Connections of a door; past that offers are not answered. @see PeerJsDoorOptions.connectionsMax */
export const CONNECTIONS_DEFAULT = 256;
/** Offers under way at once: each makes a peer connection before anything is known of its sender. */
export const NEGOTIATIONS_MAX = 64;
/** The same of one PeerJS id. */
export const NEGOTIATIONS_PER_PEER_MAX = 16;
/** A connection that has not opened by then will not. */
export const NEGOTIATION_TIMEOUT_MS = 20_000;
/** Candidates of one connection. */
export const CANDIDATES_MAX = 64;
/** Connections whose candidates came before their offer; past that the oldest is forgotten. */
export const EARLY_MAX = 64;
/** Open connections that nobody has taken from `connections()`; past that newcomers are closed with `link/too-many`. */
export const UNTAKEN_MAX = 64;

/** What PeerServer passes on may be 100 MiB; the longest offer, with an application's metadata, is far below this. */
export const SERVER_MESSAGE_BYTES_MAX: number = 1024 * 1024;
/** Offers, answers and candidates that wait for the server to come back; past that the oldest are dropped. */
export const SERVER_WAITING_MAX = 256;
/** Of a message of the server and of a connection's metadata. */
export const JSON_DEPTH_MAX = 64;
