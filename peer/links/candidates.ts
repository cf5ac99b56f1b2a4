/**
 * ICE candidates (RFC 8839), read for what they tell when two sides do not meet. An ICE agent says only that it has failed; which
 * candidates either side had, and had not, says why.
 */
import type { RtcSignal } from "../runtime.ts";

export interface IceCandidate {
  /** RFC 8445: own address, seen by STUN, seen by the other side, lent by TURN. */
  readonly kind: "host" | "srflx" | "prflx" | "relay";
  readonly protocol: "udp" | "tcp";
  /** An IP address, or a name that hides one (`….local`). */
  readonly address: string;
  readonly port: number;
  /** What tells one local socket from another, as far as it was told. */
  readonly base: string;
}

/** What both sides had to offer each other. */
export interface IceCandidates {
  readonly local: readonly IceCandidate[];
  readonly remote: readonly IceCandidate[];
  /** Of the other side's, those that were not given to the agent. */
  readonly untried?: readonly IceCandidate[];
}

/**
 * Why there is no path: the other side never answered; no STUN server was there to ask; one side gets nothing by UDP; one has
 * IPv4 only and one IPv6 only; both are behind the same router, which does not turn packets round; one side's
 * port is another for each destination; or none of these.
 */
export type IceFailure =
  | "no-answer"
  | "no-stun"
  | "udp-blocked"
  | "no-common-family"
  | "no-hairpin"
  | "symmetric-nat"
  | "ice-failed";

const CANDIDATE =
  /^(?:a=)?candidate:\S+ \d+ (udp|tcp) \d+ (\S+) (\d{1,5}) typ (host|srflx|prflx|relay)(?: raddr (\S+) rport (\d+))?/i;

/** The candidates that a signal brings, one or a description's several. */
export function candidatesOf(signal: RtcSignal): IceCandidate[] {
  const lines = signal.kind === "candidate" ? [signal.candidate] : signal.sdp.split(/\r?\n/);
  return lines.flatMap((line) => parseCandidate(line));
}

function parseCandidate(line: string): IceCandidate[] {
  const match = CANDIDATE.exec(line);
  if (match === null) return [];
  const [, protocol = "", address = "", port, kind = "", related = "", relatedPort = ""] = match;
  const network = /network-id (\d+)/.exec(line)?.[1] ?? "";
  return [
    {
      kind: kind.toLowerCase() as IceCandidate["kind"],
      protocol: protocol.toLowerCase() as IceCandidate["protocol"],
      address,
      port: Number(port),
      base: `${related} ${relatedPort} ${network}`,
    },
  ];
}

/** The reason that both sides' candidates give. `usesStun`: servers were asked where this side is seen. */
export function whyNotConnected(
  { local, remote }: IceCandidates,
  { usesStun }: { readonly usesStun: boolean },
): IceFailure {
  if (remote.length === 0) return "no-answer";
  const [here, there] = [local.filter(isPublic), remote.filter(isPublic)];
  if (here.length === 0 && !usesStun) return "no-stun";
  if (here.length === 0 || there.length === 0) return "udp-blocked";
  const families = new Set(here.map(familyOf));
  if (!there.some((candidate) => families.has(familyOf(candidate)))) return "no-common-family";
  const own = new Set(here.map(({ address }) => address));
  if (there.some(({ kind, address }) => kind === "srflx" && own.has(address))) return "no-hairpin";
  if (isSymmetric(local) || isSymmetric(remote)) return "symmetric-nat";
  return "ice-failed";
}

/**
 * Whether a NAT gives one socket another port for each destination (RFC 4787: no endpoint-independent mapping). Shows only where
 * two STUN servers, or two ports of one, were asked.
 */
export function isSymmetric(candidates: readonly IceCandidate[]): boolean {
  const ports = new Map<string, number>();
  for (const { kind, address, port, base } of candidates) {
    if (kind !== "srflx") continue;
    const key = `${address} ${base}`;
    const before = ports.get(key);
    if (before !== undefined && before !== port) return true;
    ports.set(key, port);
  }
  return false;
}

export function familyOf({ address }: IceCandidate): "IPv4" | "IPv6" {
  return address.includes(":") ? "IPv6" : "IPv4";
}

/** Somebody else on the internet might send there by UDP. */
function isPublic({ kind, protocol, address }: IceCandidate): boolean {
  return protocol === "udp" && (kind !== "host" || isPublicAddress(address));
}

/** Not loopback, link-local, private (RFC 1918, RFC 4193), a carrier's inside (RFC 6598), multicast or reserved; names are not. */
export function isPublicAddress(address: string): boolean {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.\d{1,3}\.\d{1,3}$/.exec(address);
  if (v4 === null) return address.includes(":") && !/^(::1?$|f[cd]|fe[89ab])/i.test(address);
  const [a, b] = [Number(v4[1]), Number(v4[2])];
  return !(
    a === 0 ||
    a === 10 ||
    a === 127 ||
    a >= 224 ||
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168)
  );
}
