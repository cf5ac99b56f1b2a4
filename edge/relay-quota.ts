/**
 * What a relay channel may still pass for one member whose invite has a quota. The first rendezvous object of the network keeps the day's
 * account (network-book.ts) and lends; a channel asks for more when half of a loan is gone, and gives back what is left when it ends.
 * While it waits for an answer it goes on for one loan more, so that a fast channel does not stand still: at most so much is passed beyond
 * the quota for each channel of the member.
 */

/** A sixteenth of the quota, and no less than a few frames, so that the account is asked seldom. */
const LOANS_A_DAY = 16;
const LOAN_BYTES_MIN = 1_048_576;

export function loanOf(quotaBytes: number): number {
  return Math.min(quotaBytes, Math.max(LOAN_BYTES_MIN, Math.ceil(quotaBytes / LOANS_A_DAY)));
}

export class RelayQuota {
  /** Bytes a day. */
  readonly quotaBytes: number;
  readonly #loanBytes: number;
  #leftBytes: number;
  #isAsking = false;
  /** The account has no more today. */
  #isSpent = false;

  /** @param leftBytes of the loan it begins with */
  constructor(quotaBytes: number, leftBytes: number) {
    this.quotaBytes = quotaBytes;
    this.#loanBytes = loanOf(quotaBytes);
    this.#leftBytes = leftBytes;
  }

  /** Lent and not used; below 0 what was used beyond it. */
  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** False when the frame is one too many; what is left then is too little for anything, and not given back. */
  take(bytes: number): boolean {
    const overdraft = this.#isSpent ? 0 : this.#loanBytes;
    if (this.#leftBytes + overdraft < bytes) {
      this.#leftBytes = Math.min(0, this.#leftBytes);
      return false;
    }
    this.#leftBytes -= bytes;
    return true;
  }

  /** True when it is time to ask for another loan; it is then expected. */
  shouldAsk(): boolean {
    if (this.#isAsking || this.#isSpent || this.#leftBytes * 2 >= this.#loanBytes) return false;
    this.#isAsking = true;
    return true;
  }

  /** The account's answer; undefined: it could not be asked, and is asked again with the next frame. */
  lent(bytes: number | undefined): void {
    this.#isAsking = false;
    if (bytes === undefined) return;
    this.#leftBytes += bytes;
    this.#isSpent = bytes === 0;
  }
}
