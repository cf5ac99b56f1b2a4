/**
 * The pairs of candidates that an ICE agent makes and checks (RFC 8445 §6.1.2), and what became of each. Agents say only whether all have failed,
 * so why one has follows from what both sides had to offer.
 */
import {
  type IceCandidate,
  type IceCandidates,
  type IceFailure,
  familyOf,
  isPublicAddress,
  isSymmetric,
} from "../../links/candidates.ts";

export interface CandidatePair {
  readonly here: IceCandidate;
  readonly there: IceCandidate;
  readonly isConnected: boolean;
  /** In words. */
  readonly outcome: string;
}

export interface Negotiated {
  /** Undefined: a pair connected. */
  readonly failure: IceFailure | undefined;
  readonly candidates: IceCandidates;
  /** The candidate of the other side that was chosen, `ADDRESS:PORT`; undefined where the host does not tell. */
  readonly chosen: string | undefined;
}

/** In the order in which their candidates were offered. */
export function candidatePairs(negotiated: Negotiated): CandidatePair[] {
  const { failure, candidates, chosen } = negotiated;
  const whyNot = reasons(negotiated);
  return sentFrom(candidates.local).flatMap((here) =>
    candidates.remote.flatMap((there) => {
      if (there.protocol !== here.protocol || !mayMeet(here, there)) return [];
      const isConnected = failure === undefined && isAt(there, chosen);
      const unless = failure === undefined ? "not needed" : whyNot(here, there);
      return [{ here, there, isConnected, outcome: isConnected ? "connected" : unless }];
    }),
  );
}

function reasons({
  failure,
  candidates: { local, remote, untried = [] },
}: Negotiated): (here: IceCandidate, there: IceCandidate) => string {
  const seenHere = new Set(local.flatMap(({ kind, address }) => (kind === "srflx" ? [address] : [])));
  const [movesHere, movesThere] = [isSymmetric(local), isSymmetric(remote)];
  return (here, there) => {
    if (untried.includes(there)) return "not tried: too little was said for so many ports of one address";
    if (there.kind === "host" && isPrivate(there)) return "a private address, elsewhere or shut off";
    if (there.kind === "srflx" && seenHere.has(there.address))
      return "one router is before both, and does not turn packets round";
    if (movesThere && there.kind !== "relay") return "the NAT there has another port for each destination";
    if (movesHere && here.kind !== "relay") return "the NAT here has another port for each destination";
    return failure === "udp-blocked" ? "no answer: UDP is shut off on one side at least" : "no answer";
  };
}

/** What STUN has shown is sent from the socket that it was shown of. */
function sentFrom(local: readonly IceCandidate[]): IceCandidate[] {
  return local.filter(({ kind }) => kind === "host" || kind === "relay");
}

/** Names hide addresses of either family. */
function mayMeet(here: IceCandidate, there: IceCandidate): boolean {
  return isHidden(here) || isHidden(there) || familyOf(here) === familyOf(there);
}

function isPrivate(candidate: IceCandidate): boolean {
  return isHidden(candidate) || !isPublicAddress(candidate.address);
}

/** @param place as in `Negotiated` */
export function isAt({ address, port }: IceCandidate, place: string | undefined): boolean {
  return `${address}:${port}` === place;
}

/** Browsers hide their own addresses behind names of no meaning. */
export function isHidden({ address }: IceCandidate): boolean {
  return address.endsWith(".local");
}
