/**
 * What a relay channel may still pass for one member whose invite has a quota. The first rendezvous object of the network keeps the day's
 * account (network-book.ts) and lends; a channel asks for more when half of a loan is gone, and gives back what is left when it ends.
 * While it waits for an answer it goes on for one loan more, so that a fast channel does not stand still: at most so much is passed beyond
 * the quota for each channel of the member.
 */

/** A sixteenth of the quota, and no less than a few frames, so that the account is asked seldom. */
const LOANS_A_DAY = 16;
const LOAN_BYTES_MIN = 1_048_576;

/** What the account of a member is asked: to take back what is left of a loan, and to lend another. */
export interface RelayLoan {
  readonly quotaBytes: number;
  readonly back: number;
  readonly wants: number;
}

export interface RelayQuotaOptions {
  /** Bytes a day. */
  readonly quotaBytes: number;
  /** Of the loan it begins with. */
  readonly leftBytes: number;
  /** Asks the account. @returns bytes lent; rejects when it is overloaded or restarting */
  lend(loan: RelayLoan): Promise<number>;
  /** Keeps the object awake until the account has answered. */
  waitUntil(answered: Promise<void>): void;
}

export class RelayQuota {
  readonly #options: RelayQuotaOptions;
  readonly #loanBytes: number;
  #leftBytes: number;
  #isAsking = false;
  /** The account has no more today. */
  #isSpent = false;

  constructor(options: RelayQuotaOptions) {
    const { quotaBytes, leftBytes } = options;
    this.#options = options;
    this.#loanBytes = Math.min(quotaBytes, Math.max(LOAN_BYTES_MIN, Math.ceil(quotaBytes / LOANS_A_DAY)));
    this.#leftBytes = leftBytes;
  }

  /** Bytes a day. */
  get quotaBytes(): number {
    return this.#options.quotaBytes;
  }

  /** Lent and not used; below 0 what was used beyond it. */
  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** Takes the first loan; what the account cannot be asked for is asked for again with the first frame. */
  async open(): Promise<void> {
    if (this.#isAskDue) await this.#ask();
  }

  /** False when the frame is one too many; what is left then is too little for anything, and not given back. */
  take(bytes: number): boolean {
    const overdraft = this.#isSpent ? 0 : this.#loanBytes;
    if (this.#leftBytes + overdraft < bytes) {
      this.#leftBytes = Math.min(0, this.#leftBytes);
      return false;
    }
    this.#leftBytes -= bytes;
    if (this.#isAskDue) this.#options.waitUntil(this.#ask());
    return true;
  }

  /** The channel ends: what is left goes back, or what was used beyond is told. */
  settle(): void {
    if (this.#leftBytes !== 0) this.#options.waitUntil(this.#lend(this.#leftBytes, 0).then(() => {}));
  }

  get #isAskDue(): boolean {
    return !this.#isAsking && !this.#isSpent && this.#leftBytes * 2 < this.#loanBytes;
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const bytes = await this.#lend(0, this.#loanBytes);
    this.#isAsking = false;
    if (bytes === undefined) return; // Asked again with the next frame.
    this.#leftBytes += bytes;
    this.#isSpent = bytes === 0;
  }

  /** Undefined when the account did not answer: a loan counts as used then. */
  async #lend(back: number, wants: number): Promise<number | undefined> {
    return this.#options.lend({ quotaBytes: this.quotaBytes, back, wants }).catch(() => undefined);
  }
}
