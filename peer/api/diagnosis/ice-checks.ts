/**
 * Checks of this machine's way to the internet where there are no datagram sockets, as in pages: WebRTC connections that nobody answers gather
 * candidates (RFC 8445 §5.1.1), and where STUN servers saw them stands in those (RFC 8839 §5.1). What a second server saw like the first is not
 * told (RFC 8445 §5.1.3), so each is asked alone too; what a browser hides stays unknown.
 */
import { toPeerloomError } from "../../../shared/errors.ts";
import { candidatesOf, type IceCandidate, isPublicAddress, isSymmetric } from "../../links/candidates.ts";
import { formatStunUrl, type StunServer } from "../../links/stun.ts";
import { untilAborted, withDeadline } from "../../overlay/abort.ts";
import type { Mapping } from "../../overlay/nat-probe.ts";
import type { RtcConnection, Runtime, WebRtcHost } from "../../runtime.ts";
import { type Check, check, reasonOf } from "./finding.ts";
import { natCheck, type NetworkFacts, udpCheck, unknownNetwork } from "./network-checks.ts";

/** Servers asked, each by a connection of its own; past that the rest is left out. */
const SERVERS_MAX = 4;
/** Two tell what a NAT does (RFC 5780 §4.3). */
const ANSWERS_WANTED = 2;
/** Chromium has asked a server five times by then; it waits 40 s for one that is silent. */
const GATHER_TIMEOUT_MS = 5_000;

const NOTHING_GATHERED =
  "no address of this machine was offered; a setting or an extension may hold WebRTC back";

/** What one connection gathered. */
interface Gathered {
  readonly candidates: readonly IceCandidate[];
  /** Why it could not. */
  readonly failure: string | undefined;
}

/** Takes a moment where all servers answer, and five seconds where one does not. @throws PeerloomError `aborted` */
export async function checkByIce(
  runtime: Runtime,
  webrtc: WebRtcHost,
  servers: readonly StunServer[],
  signal: AbortSignal,
): Promise<NetworkFacts> {
  if (servers.length === 0) return unknownNetwork("no STUN server is known that could be asked");
  // One that is named twice tells nothing twice.
  const asked = [...new Map(servers.map((each) => [formatStunUrl(each), each])).values()].slice(
    0,
    SERVERS_MAX,
  );
  const [together, ...alone] = await Promise.all([
    gather(runtime, webrtc, asked, signal),
    ...asked.map((server) => gather(runtime, webrtc, [server], signal)),
  ]);
  const own = together.candidates.filter(({ kind }) => kind === "host");
  const seen = together.candidates.filter(isSeen);
  const answers = alone.map(({ candidates }) => candidates.filter(isSeen));
  const mapped = seen.length > 0 ? seen : answers.flat();
  const failures = alone.flatMap(({ failure }, i) =>
    answers[i]?.length === 0 ? [failure ?? `${asked[i]?.host} is silent`] : [],
  );
  const udp = udpOf(mapped, own, failures);
  const { mapping, why } = natOf(seen, answers, own);
  return {
    udp: udp.ok ?? undefined,
    mapping,
    checks: [udp, ipv6Check(mapped, own), natCheck(mapping, why)],
  };
}

async function gather(
  { clock }: Pick<Runtime, "clock">,
  webrtc: WebRtcHost,
  servers: readonly StunServer[],
  signal: AbortSignal,
): Promise<Gathered> {
  const candidates: IceCandidate[] = [];
  const gathered = Promise.withResolvers<void>();
  let connection: RtcConnection | undefined;
  try {
    connection = webrtc.open({
      role: "offerer",
      iceServers: [{ urls: servers.map(formatStunUrl) }],
      onSignal: (each) => candidates.push(...candidatesOf(each)),
      onGathered: gathered.resolve,
    });
    connection.onClose = gathered.reject;
    await withDeadline(clock, GATHER_TIMEOUT_MS, signal, (within) => untilAborted(gathered.promise, within));
    return { candidates, failure: undefined };
  } catch (error) {
    signal.throwIfAborted();
    const isLate = toPeerloomError(error, "link/failed", "").code === "link/timeout";
    return { candidates, failure: isLate ? undefined : reasonOf(error) };
  } finally {
    connection?.destroy();
  }
}

function isSeen({ kind, protocol }: IceCandidate): boolean {
  return kind === "srflx" && protocol === "udp";
}

function isIpv6({ address }: IceCandidate): boolean {
  return address.includes(":");
}

function udpOf(
  mapped: readonly IceCandidate[],
  own: readonly IceCandidate[],
  failures: readonly string[],
): Check {
  const address = own.map((each) => each.address).find(isPublicAddress);
  // Where no NAT is in front, servers see this very address, and browsers do not say it twice.
  if (mapped.length === 0 && address !== undefined)
    return check("udp", null, `unknown: this machine has ${address}, and STUN could show only the same`);
  return udpCheck(mapped, own.length > 0 ? failures : [...failures, NOTHING_GATHERED]);
}

function ipv6Check(mapped: readonly IceCandidate[], own: readonly IceCandidate[]): Check {
  const seen = mapped.find(isIpv6);
  if (seen !== undefined) return check("ipv6", true, `STUN sees ${seen.address}`);
  const address = own.map((each) => each.address).find((each) => each.includes(":") && isPublicAddress(each));
  if (address !== undefined)
    return check("ipv6", null, `this machine has ${address}, but STUN shows nothing over IPv6`);
  const isTold = own.length > 0 && own.every((each) => !each.address.endsWith(".local"));
  return isTold
    ? check("ipv6", false, "this machine has no public IPv6 address")
    : check("ipv6", null, "unknown: no STUN server answered over IPv6, and the browser hides what is here");
}

/** Of IPv4 where it is there, else of IPv6, as datagram sockets tell it. */
function natOf(
  seen: readonly IceCandidate[],
  alone: readonly (readonly IceCandidate[])[],
  own: readonly IceCandidate[],
): { readonly mapping: Mapping; readonly why?: string } {
  if (seen.length === 0) return { mapping: "unknown" };
  const isOnlyIpv6 = seen.every(isIpv6);
  const ofFamily = (list: readonly IceCandidate[]): IceCandidate[] =>
    list.filter((each) => isIpv6(each) === isOnlyIpv6);
  const mapped = ofFamily(seen);
  const addresses = new Set(mapped.map(({ address }) => address));
  if (own.some(({ address }) => addresses.has(address))) return { mapping: "none" };
  // One server gives no socket two ports: these are several sockets.
  if (alone.some((answer) => isSymmetric(ofFamily(answer))))
    return { mapping: "unknown", why: "this machine is in several networks, which the browser mixes" };
  if (isSymmetric(mapped)) return { mapping: "symmetric" };
  if (alone.filter((answer) => ofFamily(answer).length > 0).length < ANSWERS_WANTED)
    return { mapping: "unknown" };
  const bases = new Set(mapped.map(({ base }) => base));
  return addresses.size > bases.size
    ? { mapping: "unknown", why: "each STUN server sees another address, and the browser hides of what" }
    : { mapping: "endpoint-independent" };
}
