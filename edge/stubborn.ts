/**
 * Sockets that go on sending after they were closed. workerd delivers, and Cloudflare bills, whatever comes until the other side answers the
 * close, and has no call that hangs up on one socket. What ends it is ending the object, with every socket it has; honest peers come
 * back after a random wait. So it is done as a lease is ended for a purchase: once the flood has cost as much as everybody's return would,
 * and whatever comes, no more than twice the least is paid.
 */
import type { Meter } from "./meter.ts";

/** What comes of a closed socket in good faith: all that was under way. More where an honest client may send more at once. */
const IN_GOOD_FAITH = 250;
/** The same of one socket, past which its sender is kept out: a member may have had signals under way, who never joined nothing but its join. */
const MEMBER_IN_GOOD_FAITH = 100;
const STRANGER_IN_GOOD_FAITH = 4;
/** Messages that cost as much as one member's return, five units. */
const MESSAGES_A_RETURN = 100;

export class Stubborn {
  readonly #ctx: DurableObjectState;
  readonly #meter: Meter;
  readonly #inGoodFaith: number;
  /** Messages that a closed socket may still send. */
  readonly #left = new WeakMap<WebSocket, number>();
  #messages = 0;
  #isEnding = false;

  constructor(ctx: DurableObjectState, meter: Meter, inGoodFaith: number = IN_GOOD_FAITH) {
    this.#ctx = ctx;
    this.#meter = meter;
    this.#inGoodFaith = inGoodFaith;
  }

  /** It was closed before it had joined. */
  closedStranger(socket: WebSocket): void {
    this.#left.set(socket, STRANGER_IN_GOOD_FAITH);
  }

  /**
   * Another message on a socket that was closed.
   * @param members who would have to come back
   * @returns whether this socket has now sent more than in good faith, or ended the object
   */
  heard(socket: WebSocket, network: string, members: number): boolean {
    const left = (this.#left.get(socket) ?? MEMBER_IN_GOOD_FAITH) - 1;
    this.#left.set(socket, left);
    this.#messages += 1;
    if (this.#isEnding || this.#messages <= Math.max(this.#inGoodFaith, MESSAGES_A_RETURN * members))
      return left === -1;
    this.#isEnding = true;
    const end = (): void => this.#ctx.abort("a closed socket went on sending");
    this.#ctx.waitUntil(this.#meter.finish(network).then(end, end));
    return true;
  }
}
