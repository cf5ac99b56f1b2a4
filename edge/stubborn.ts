/**
 * Sockets that go on sending after they were closed. workerd delivers, and Cloudflare bills, whatever comes until the other side answers the
 * close, and has no call that hangs up on one socket. What ends it is ending the object, with every socket it has; honest peers come
 * back after a random wait. So it is done as a lease is ended for a purchase: once the flood has cost as much as everybody's return would,
 * and whatever comes, no more than twice the least is paid.
 */
import type { Meter } from "./meter.ts";

/** What comes of a closed socket in good faith: all that was under way. More where an honest client may send more at once. */
const IN_GOOD_FAITH = 250;
/** The same of one socket, where its sender is then kept out: a member whose signals were under way says no more. */
const SOCKET_IN_GOOD_FAITH = 100;
/** Messages that cost as much as one member's return, five units. */
const MESSAGES_A_RETURN = 100;

export class Stubborn {
  readonly #ctx: DurableObjectState;
  readonly #meter: Meter;
  readonly #inGoodFaith: number;
  readonly #bySocket = new WeakMap<WebSocket, number>();
  #messages = 0;
  #isEnding = false;

  constructor(ctx: DurableObjectState, meter: Meter, inGoodFaith: number = IN_GOOD_FAITH) {
    this.#ctx = ctx;
    this.#meter = meter;
    this.#inGoodFaith = inGoodFaith;
  }

  /**
   * Another message on a socket that was closed.
   * @param members who would have to come back
   * @returns whether this socket has now sent more than in good faith, or ended the object
   */
  heard(socket: WebSocket, network: string, members: number): boolean {
    const bySocket = (this.#bySocket.get(socket) ?? 0) + 1;
    this.#bySocket.set(socket, bySocket);
    this.#messages += 1;
    const isTooMuch = bySocket === SOCKET_IN_GOOD_FAITH;
    if (this.#isEnding || this.#messages <= Math.max(this.#inGoodFaith, MESSAGES_A_RETURN * members))
      return isTooMuch;
    this.#isEnding = true;
    const end = (): void => this.#ctx.abort("a closed socket went on sending");
    this.#ctx.waitUntil(this.#meter.finish(network).then(end, end));
    return true;
  }
}
