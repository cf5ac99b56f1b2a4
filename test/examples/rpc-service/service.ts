/** A service in Node that pages call: no port is open, no address is known but its peer id. */
import { Peer, RemoteError } from "../../../peer/node.ts"; // in your application: from "peerloom"

/** What pages may call; they can import this type. */
export interface Orders {
  price(name: string, count: number): number;
  /** Each state of an order, as it comes. */
  follow(order: string): AsyncIterable<string>;
}

const PRICES: Readonly<Record<string, number>> = { apple: 2, pear: 3 };

export async function openService(edge: string): Promise<Peer> {
  const peer = await Peer.open({ edge, network: "shop" });
  peer.serve("orders/1", {
    price(name: string, count: number): number {
      const price = PRICES[name];
      // Reaches the caller as it is; an error without a code would only say that something failed.
      if (price === undefined)
        throw new RemoteError({ code: "shop/unknown", message: `There are no ${name}s.` });
      return price * count;
    },
    async *follow(order: string): AsyncGenerator<string> {
      for (const state of ["packed", "sent", "there"]) yield `${order} is ${state}`;
    },
  });
  return peer;
}
