/**
 * The signals of one negotiation, put together: whoever carries them is spared a message for each candidate (half trickle, RFC 8838).
 * A description waits a little for the candidates that are there at once and takes them along; those found later go
 * together too. At the other end a batch is taken apart again, so that hosts see what they would see of trickled ones.
 */
import type { Clock, RtcSignal, Timer } from "../runtime.ts";
import type { RtcBatch } from "./signaller.ts";

/** Own addresses are found in a few ms, a STUN server's answer, without which few NATs are passed, takes a round trip; who has found all does not wait. */
export const GATHER_MS = 100;
/** Of candidates in one message: with a description, sealed, that stays below what peers carry for each other (4 KiB). */
const BATCH_CHARACTERS_MAX = 2_048;
/** Candidates in one message of their own. */
export const BATCH_CANDIDATES_MAX = 16;

const CANDIDATE_LINE = /^a=(candidate:[^\r\n]*)\r?\n?/gm;

type Candidate = Extract<RtcSignal, { kind: "candidate" }>;
type Description = Exclude<RtcSignal, Candidate>;

export class SignalBatches {
  readonly #clock: Clock;
  readonly #send: (batch: RtcBatch) => void;
  #description: Description | undefined;
  #candidates: Candidate[] = [];
  #described = false;
  #gathered = false;
  #closed = false;
  #timer: Timer | undefined;

  constructor(clock: Clock, send: (batch: RtcBatch) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** What the host has to say. Candidates may come before the description, which goes first. */
  add(signal: RtcSignal): void {
    if (signal.kind === "candidate") this.#candidates.push(signal);
    else {
      this.#description = signal;
      this.#described = true;
    }
    if (!this.#described) return;
    if (this.#gathered) this.#flush();
    else this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.#flush());
  }

  /** The host has found all candidates there are. */
  gathered(): void {
    this.#gathered = true;
    if (this.#described) this.#flush();
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed) return;
    const description = this.#description;
    this.#description = undefined;
    if (description !== undefined) {
      const lines = this.#take(Number.POSITIVE_INFINITY).map(
        ({ candidate }) => `a=${candidate.replace(/^a=/, "")}`,
      );
      // Some hosts have put the first ones in already.
      const missing = lines.filter((line) => !description.sdp.includes(line));
      this.#send({
        ...description,
        sdp: missing.reduce((sdp, line) => `${sdp}${line}\r\n`, description.sdp),
      });
    }
    while (this.#candidates.length > 0) this.#send(batchOf(this.#take(BATCH_CANDIDATES_MAX)));
  }

  /** The next candidates, as many as fit into one message. */
  #take(countMax: number): Candidate[] {
    let characters = 0;
    const fitting = this.#candidates.findIndex(({ candidate }, index) => {
      characters += candidate.length;
      return index > 0 && (index >= countMax || characters > BATCH_CHARACTERS_MAX);
    });
    return this.#candidates.splice(0, fitting === -1 ? this.#candidates.length : fitting);
  }
}

/** A data channel's description has one media section, so all candidates belong to it. */
function batchOf(candidates: readonly Candidate[]): RtcBatch {
  const [first] = candidates as [Candidate];
  if (candidates.length === 1) return first;
  return { kind: "candidates", candidates: candidates.map(({ candidate }) => candidate), mid: first.mid };
}

/** A batch as hosts take it: the candidates one by one, since a bad one in a description would spoil all of it. */
export function signalsOf(batch: RtcBatch): RtcSignal[] {
  switch (batch.kind) {
    case "candidate":
      return [batch];
    case "candidates":
      return batch.candidates.map((candidate) => ({ kind: "candidate", candidate, mid: batch.mid }));
    case "offer":
    case "answer": {
      const mid = /^a=mid:(\S+)/m.exec(batch.sdp)?.[1] ?? "0";
      const candidates: Candidate[] = [];
      const sdp = batch.sdp.replace(CANDIDATE_LINE, (_, candidate: string) => {
        candidates.push({ kind: "candidate", candidate, mid });
        return "";
      });
      return [{ kind: batch.kind, sdp }, ...candidates];
    }
  }
}
