/**
 * Who is closest to a key, asked of the overlay. Whoever a request passes can answer it, so answers are weighed: one that names nobody
 * near enough is a lie and ends its copy only (requester.ts), and of several copies the answers count together.
 */
import { encode } from "../../../shared/codec.ts";
import { distance, type MeshKey } from "./mesh-key.ts";
import type { Neighbour } from "./neighbour.ts";
import type { MeshContact } from "./openings.ts";
import { type Answer, Apart, type Requester } from "./requester.ts";
import { ASK, readContacts } from "./requests.ts";

/**
 * The closest peer to a key that is farther from it than this many times the distance over which eight are seen here is a liar's
 * (the density test of Castro et al., OSDI 2002): by chance once in 10^5, where this peer's own eight are unusually close.
 */
const SPARSE = 3;
/** Copies in all until no more go out although no two answers agree, and how many go out together then. */
const COPIES_MAX = 9;
const COPIES_MORE = 2;
/** Copies go to points so far beside each other, in parts of that distance: all ways to one point end by the same peers, which may be liars. */
const BESIDE = 0.125;

export interface ClosestOptions extends Pick<Requester, "request"> {
  /** Distance over which this peer sees eight others. */
  reach(): number;
}

export interface LookupOptions {
  /** Sent at once, by different first hops. @default 1 */
  readonly copies?: number;
  /** The first hop of the first. */
  readonly through?: Neighbour;
  /** An edge has sent the peer of that key, which whoever is closest should expect; for one copy. @default false */
  readonly isNewcomer?: boolean;
}

/**
 * Calls back once: with the contacts of the peers closest to a key by rising distance, or undefined when no answer came. Of several
 * copies with what each of them brought, together; more go out until two name the same closest.
 */
export function findClosest(
  { reach, request }: ClosestOptions,
  target: MeshKey,
  { copies = 1, through, isNewcomer = false }: LookupOptions,
  done: (found: readonly MeshContact[] | undefined) => void,
): void {
  const body = encode(isNewcomer ? [ASK.closest, true] : [ASK.closest]);
  const away = ({ key }: MeshContact): number => distance(key, target);
  const isRight = (answer: Uint8Array): boolean =>
    (readContacts(answer) ?? []).some((one) => away(one) <= SPARSE * reach());
  const apart = new Apart();
  const answers: (readonly MeshContact[])[] = [];
  let [sent, waiting] = [0, 0];
  const take = (answer: Answer | undefined): void => {
    if (answer !== undefined) answers.push(readContacts(answer.body) ?? []);
    waiting -= 1;
    if (waiting > 0) return;
    const found = [...new Map(answers.flat().map((one) => [one.key, one])).values()];
    const [closest] = found.sort((a, b) => away(a) - away(b));
    const agree = answers.filter((each) => each.some(({ key }) => key === closest?.key)).length;
    if (copies > 1 && agree < 2 && sent < COPIES_MAX) send(COPIES_MORE);
    else done(closest === undefined ? undefined : found);
  };
  const send = (count: number): void => {
    waiting += count;
    for (let i = 0; i < count; i++) {
      const first = sent === 0 && through !== undefined ? { through } : {};
      const beside = Math.floor(reach() * BESIDE * sent);
      sent += 1;
      request(distance(target, beside), false, body, { apart, isRight, ...first }, take);
    }
  };
  send(copies);
}
