/** Who is to be in a topic's mesh: gossipsub's numbers but for the upper bound, and everybody with everybody where there are few. Pure. */
import type { PeerId } from "../../../shared/ids.ts";
import type { Random } from "../../runtime.ts";

/**
 * Links of a mesh: wanted, and bounds between which nothing is done. Gossipsub's upper one is twelve, which those that come one by one fill: 9 copies of each small
 * message among 1,000 simulated peers, where eight makes 5.
 */
export const MESH_WANTED = 6;
export const MESH_MIN = 5;
export const MESH_MAX = 8;
/** Where no more neighbours than this are in a topic, all of them are its mesh. */
export const FULL_MESH_MAX = 12;
/** Of those kept when there are too many: with the best score, and chosen by ourselves, who cannot all be an attacker's. */
const KEPT_BY_SCORE = 3;
const KEPT_OWN = 2;

export interface MeshCandidate {
  readonly id: PeerId;
  readonly score: number;
  readonly isInMesh: boolean;
  /** This side asked for it. */
  readonly isOwn: boolean;
  /** One of both has pruned the other not long ago. */
  readonly isAway: boolean;
}

export interface MeshChange {
  readonly graft: readonly PeerId[];
  readonly prune: readonly PeerId[];
}

export function chooseMesh(candidates: readonly MeshCandidate[], random: Pick<Random, "unit">): MeshChange {
  const bad = candidates.filter(({ isInMesh, score }) => isInMesh && score < 0);
  const members = candidates.filter(({ isInMesh, score }) => isInMesh && score >= 0);
  const others = shuffled(
    candidates.filter(({ isInMesh, isAway, score }) => !isInMesh && !isAway && score >= 0),
    random,
  );
  const prune = bad.map(({ id }) => id);
  const isSmall = candidates.length <= FULL_MESH_MAX;
  if (isSmall) return { graft: others.map(({ id }) => id), prune };
  if (members.length < MESH_MIN)
    return { graft: others.slice(0, MESH_WANTED - members.length).map(({ id }) => id), prune };
  if (members.length > MESH_MAX) {
    const kept = keep(members, random);
    return { graft: [], prune: [...prune, ...members.filter(({ id }) => !kept.has(id)).map(({ id }) => id)] };
  }
  return { graft: [], prune };
}

function keep(members: readonly MeshCandidate[], random: Pick<Random, "unit">): Set<PeerId> {
  const inChance = shuffled(members, random);
  const byScore = inChance.toSorted((a, b) => b.score - a.score);
  const kept = new Set(byScore.slice(0, KEPT_BY_SCORE).map(({ id }) => id));
  const own = inChance.filter(({ isOwn }) => isOwn);
  const missing = KEPT_OWN - own.filter(({ id }) => kept.has(id)).length;
  for (const { id } of own.filter(({ id }) => !kept.has(id)).slice(0, Math.max(0, missing))) kept.add(id);
  for (const { id } of inChance) if (kept.size < MESH_WANTED) kept.add(id);
  return kept;
}

export function shuffled<T>(items: readonly T[], random: Pick<Random, "unit">): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random.unit() * (i + 1));
    [all[i], all[j]] = [all[j] as T, all[i] as T];
  }
  return all;
}
