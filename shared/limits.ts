/**
 * Every bound that both sides of a wire must agree on. Sizes in bytes, times in milliseconds.
 */

/** The newest wire version spoken here. 2 differs from 1 in that it is negotiated, and knows the operation `taken`. */
export const WIRE_VERSION = 2;
/** The oldest, one back: between a deploy and the last peer's update both are in use. Anything else is `wire/version`. */
export const WIRE_VERSION_OLDEST = 1;

/**
 * The longest frame on any link, header and tag included. 256 KiB is what every data channel of today takes
 * (Chromium offers `max-message-size:262144`), and larger frames no longer make sealing cheaper.
 */
export const FRAME_BYTES_MAX = 262_144;

/** The longest message on a rendezvous socket: a sealed signal with a long SDP stays below 16 KiB. */
export const RENDEZVOUS_MESSAGE_BYTES_MAX = 32_768;

/** The longest sealed signal inside a rendezvous message. */
export const SIGNAL_BYTES_MAX = 24_576;

/** Addresses a contact may carry; the rest is dropped. */
export const ADDRESSES_MAX = 8;
export const ADDRESS_BYTES_MAX = 128;

/** Beacons told to a newcomer. */
export const BEACONS_MAX = 16;

/** Members of one rendezvous object. workerd allows 32,768 sockets; the rest is refused with `edge/over-capacity`. */
export const RENDEZVOUS_SOCKETS_MAX = 20_000;

/** Shards a network or the peers of a PeerJS key may be spread over; some questions are put to all of them. */
export const SHARDS_MAX = 32;

/** Messages a rendezvous socket may send: a bucket of this many, refilled at the rate below. Past that it is closed. */
export const RENDEZVOUS_MESSAGES_BURST = 400;
export const RENDEZVOUS_MESSAGES_PER_SECOND = 40;

/** A newcomer must have joined by then, or its socket is closed. */
export const JOIN_TIMEOUT_MS = 10_000;

/** Clocks may differ by this much: a join's or signal's time outside is `edge/challenge-failed` or `signal/stale`. */
export const CLOCK_SKEW_MS_MAX = 120_000;

/** A relay ticket opens its channel for this long after it was made. */
export const RELAY_TICKET_TTL_MS = 60_000;

/**
 * Bytes that one side may have under way through a relay channel before the other side has acknowledged them to the
 * object. A Durable Object has no backpressure, so this is what keeps its memory flat. A sender keeps to half of it.
 */
export const RELAY_UNACKED_BYTES_MAX: number = 4 * 1024 * 1024;

/** A receiver acknowledges to the relay object after this many bytes (text message `ack:<total bytes received>`). */
export const RELAY_ACK_EVERY_BYTES: number = 256 * 1024;

/** Bytes a relay channel holds for a second side that has not come yet; past that the sender is closed. */
export const RELAY_PENDING_BYTES_MAX: number = 64 * 1024;

/**
 * What a side of a relay channel may send while the edge saves (`relay-slow`), in bytes a second; the object says `pace:N`. A sender that goes on
 * twice as fast is closed.
 */
export const RELAY_SLOW_BYTES_PER_SECOND = 131_072;

/**
 * Messages that a side of a relay channel may send, each billed however small it is: a bucket of this many, refilled at the rate below and by one for
 * each `RELAY_BYTES_A_MESSAGE` of frames that pass the channel, whichever way. A sender keeps to half of bucket and rate, gathering what it has to say; past
 * all of it the side is closed, and its address prefix kept out when that comes often.
 */
export const RELAY_MESSAGES_BURST = 4_000;
export const RELAY_MESSAGES_PER_SECOND = 400;
export const RELAY_BYTES_A_MESSAGE = 65_536;

/** The pace, bytes a second, of a side that does not keep to half, until it has rested: some two hundred small frames. */
export const RELAY_HELD_BYTES_PER_SECOND = 16_384;

/** A member's pass lets it in again for this long, also while newcomers are refused. */
export const RETURN_PASS_TTL_MS = 86_400_000;

/** A member's whole credential, encoded: five links of 192 bytes, each with its signature and its framing. */
export const CREDENTIAL_BYTES_MAX: number = 5 * (192 + 64 + 8);

/** A whole signed ban list, encoded. */
export const BANS_BYTES_MAX = 28_672;

/** Text messages that the edge answers by itself without waking an object. */
export const PING_TEXT = "ping";
export const PONG_TEXT = "pong";
