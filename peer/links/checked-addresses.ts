/**
 * Which of the other side's candidates are tried. An ICE agent sends its checks to whatever address it is told, so that one message could turn
 * them against a stranger (RFC 8445 §19.5.1, "voice hammer"). No address is sent more than was paid for by the message
 * that named it, as far as the agent is libjuice; a browser's sends 1.4 KB a second for as long as a negotiation lasts.
 */
import { octetsOf } from "./address.ts";
import type { IceCandidate } from "./candidates.ts";

/** What libjuice sends to a candidate that is silent, until a negotiation is given up: five checks of 100 bytes. */
const CHECKS_BYTES = 500;
/** What carries a message adds at least so much to it; sealed for peers or the edge it is more than a hundred. */
const CARRIED_BYTES = 32;

export class CheckedAddresses {
  readonly #counts = new Map<string, number>();
  #saidBytes = 0;

  /** The other side has said so much more. */
  said(bytes: number): void {
    this.#saidBytes += bytes;
  }

  /** One at an address for each `CHECKS_BYTES`; the shortest honest description pays for one. Of names only those of mDNS, or a stranger chose what is resolved. */
  admits({ address, protocol }: IceCandidate): boolean {
    const canonical = canonicalAddress(address);
    if (canonical === undefined) return false;
    const key = `${protocol} ${canonical}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    if (count * CHECKS_BYTES > this.#saidBytes + CARRIED_BYTES) return false;
    this.#counts.set(key, count);
    return true;
  }
}

/** One spelling for each address; undefined for what no agent offers. */
function canonicalAddress(address: string): string | undefined {
  if (octetsOf(address) !== undefined) return address;
  if (/^[\w-]+\.local$/i.test(address)) return address.toLowerCase();
  const [ipv6 = ""] = address.split("%", 1); // Without its zone.
  const canonical = URL.parse(`http://[${ipv6}]`)?.hostname;
  return canonical?.startsWith("[::ffff:") === true ? undefined : canonical;
}
