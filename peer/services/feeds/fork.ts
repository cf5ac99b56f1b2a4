/**
 * The proof that a writer has forked its log: two different entries for one number, each certified by a head that the writer
 * signed. Anybody who knows the feed's definition can check it. From there on the writer's log counts no more, for
 * everybody: of several proofs the one with the lowest number stands, and of those the one whose bytes are lower, so that all end with the same.
 */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { HashProvider } from "../../runtime.ts";
import { WRITERS_MAX } from "./definition.ts";
import { ENTRY_BYTES_MAX } from "./entry.ts";
import { isHeadGenuine } from "./head.ts";
import { proveRange, type Range, rangeFields, readRange } from "./range.ts";
import { leafHashes } from "./tree.ts";

export const FORK_BYTES_MAX: number = 2 * (ENTRY_BYTES_MAX + 16 * 1024);
const LIMITS = { bytesMax: FORK_BYTES_MAX, depthMax: 3, itemsMax: 512, textBytesMax: 0 } as const;

export interface ForkProof {
  /** The writer's place in the definition. */
  readonly writer: number;
  readonly seq: number;
  /** One entry each, the one with the lower hash first. */
  readonly branches: readonly [Range, Range];
}

/** A fork as applications see it. */
export interface FeedFork {
  readonly writer: PeerId;
  readonly seq: number;
  /** Both entries as their writer encoded them. */
  readonly entries: readonly [Uint8Array, Uint8Array];
  /** Convinces anybody who has the feed's address: `feed.checkFork(proof)`. */
  readonly proof: Uint8Array;
}

/** Of two certified entries. Undefined when they are no fork. */
export async function makeForkProof(
  hash: HashProvider,
  writer: number,
  a: Range,
  b: Range,
): Promise<ForkProof | undefined> {
  if (a.from !== b.from || a.entries.length !== 1 || b.entries.length !== 1) return undefined;
  const [first, second] = await leafHashes(hash, [...a.entries, ...b.entries]);
  if (first === undefined || second === undefined || equalBytes(first, second)) return undefined;
  return { writer, seq: a.from, branches: toHex(first) < toHex(second) ? [a, b] : [b, a] };
}

export async function isForkGenuine(
  hash: HashProvider,
  address: Uint8Array,
  writers: readonly PeerId[],
  proof: ForkProof,
): Promise<boolean> {
  const writer = writers[proof.writer];
  if (writer === undefined) return false;
  const [a, b] = proof.branches;
  const again = await makeForkProof(hash, proof.writer, a, b);
  if (again?.seq !== proof.seq || again.branches[0] !== a) return false;
  for (const branch of proof.branches) {
    if ((await proveRange(hash, branch)) === undefined) return false;
    if (!(await isHeadGenuine(address, writer, branch.head))) return false;
  }
  return true;
}

/** Whether the first says more: an earlier number, or the same and lower bytes. */
export function outranks(a: ForkProof, b: ForkProof | undefined): boolean {
  if (b === undefined || a.seq !== b.seq) return b === undefined || a.seq < b.seq;
  return toHex(encodeForkProof(a)) < toHex(encodeForkProof(b));
}

export function encodeForkProof({ writer, branches }: ForkProof): Uint8Array {
  return encode([writer, ...branches.map(rangeFields)]);
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeForkProof(bytes: Uint8Array): ForkProof {
  const fields = new FieldReader(decode(bytes, LIMITS), "fork proof");
  const writer = fields.integer(0, WRITERS_MAX - 1);
  const branch = (): Range => {
    const nested = fields.nested("branch");
    const range = readRange(nested, 1);
    nested.end();
    return range;
  };
  const branches = [branch(), branch()] as const;
  fields.end();
  return { writer, seq: branches[0].from, branches };
}
