/** Shards a network or the peers of a PeerJS key may be spread over; some questions are put to all of them. */
export const SHARDS_MAX = 32;
