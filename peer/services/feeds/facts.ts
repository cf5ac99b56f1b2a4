/** What is known of a feed besides its entries, kept where the host keeps anything: its definition and the forks that were proven. */
import { orUndefined } from "../../../shared/errors.ts";
import type { LogFile } from "../../runtime.ts";
import { decodeForkProof, encodeForkProof, type ForkProof, outranks } from "./fork.ts";
import { encodeStored, RECORD, storedRecords } from "./store.ts";

export class Facts {
  readonly #file: LogFile | undefined;
  readonly #forks = new Map<number, ForkProof>();
  /** As it was stored; not checked. */
  definition: Uint8Array | undefined;

  /** Reads what is there; what is torn or makes no sense is cut off. */
  static async open(file: LogFile | undefined): Promise<Facts> {
    const facts = new Facts(file);
    if (file === undefined) return facts;
    let end = 0;
    for await (const record of storedRecords(file)) {
      if (!facts.#know(record.type, record.body)) break;
      ({ end } = record);
    }
    if (end < file.bytes) await file.truncate(end);
    return facts;
  }

  private constructor(file: LogFile | undefined) {
    this.#file = file;
  }

  /** The best proof of each writer's fork. */
  get forks(): readonly ForkProof[] {
    return [...this.#forks.values()];
  }

  async setDefinition(bytes: Uint8Array): Promise<void> {
    if (this.definition !== undefined) return;
    this.definition = bytes;
    await this.#append(RECORD.definition, bytes);
  }

  /** Kept for good: the proof is what keeps a forger out. */
  async addFork(proof: ForkProof): Promise<void> {
    this.#forks.set(proof.writer, proof);
    await this.#append(RECORD.fork, encodeForkProof(proof));
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #append(type: number, body: Uint8Array): Promise<void> {
    await this.#file?.append(encodeStored(type, body));
    await this.#file?.sync();
  }

  #know(type: number, body: Uint8Array): boolean {
    if (type === RECORD.definition) this.definition = body;
    else if (type !== RECORD.fork) return false;
    else {
      const proof = orUndefined(() => decodeForkProof(body));
      if (proof === undefined) return false;
      if (outranks(proof, this.#forks.get(proof.writer))) this.#forks.set(proof.writer, proof);
    }
    return true;
  }
}
