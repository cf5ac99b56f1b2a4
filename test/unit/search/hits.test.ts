import { describe, expect, test } from "vitest";
import { formatTicket, parseTicket, type Ticket } from "../../../peer/services/files/ticket.ts";
import { Hits } from "../../../peer/services/search/hits.ts";
import { DEFAULT_NETWORK, peerIdFromKey, requireNetworkName } from "../../../shared/ids.ts";

const provider = (key: number): Ticket["providers"][number] => ({
  id: peerIdFromKey(new Uint8Array(32).fill(key)),
  addresses: [`tcp://192.0.2.${key}:4000`],
});

function ticket(hash: number, some: Partial<Ticket> = {}): string {
  return formatTicket({
    hash: new Uint8Array(32).fill(hash),
    network: DEFAULT_NETWORK,
    name: "cat.mp4",
    bytes: 10,
    providers: [provider(1)],
    edge: undefined,
    ...some,
  });
}

describe("hits", () => {
  test("of one content are one, whose ticket names all who have it", () => {
    const hits = new Hits(DEFAULT_NETWORK, 10);
    hits.add([ticket(1), ticket(2), ticket(1, { providers: [provider(2), provider(3)] })], "dht");
    const [first, second] = hits.take();
    expect(first).toMatchObject({
      name: "cat.mp4",
      bytes: 10,
      hash: "01".repeat(32),
      via: "dht",
      sources: 2,
    });
    expect(parseTicket(first?.ticket ?? "").providers).toEqual([provider(1), provider(2)]);
    expect(second).toMatchObject({ sources: 1 });
    hits.add([ticket(1)], "flood");
    expect(hits.take()).toEqual([]);
  });

  test("are not crowded out by tickets that name many, or at length", () => {
    const hits = new Hits(DEFAULT_NETWORK, 10);
    const long = Array.from({ length: 8 }, (_, i) => `tcp://${"x".repeat(110)}:${i}`);
    hits.add([ticket(1)], "flood");
    for (let key = 2; key < 30; key++) {
      const crowd = Array.from({ length: 4 }, (_, i) => provider(100 + i));
      hits.add([ticket(1, { providers: [{ ...provider(key), addresses: long }, ...crowd] })], "flood");
    }
    const [hit] = hits.take();
    const { providers } = parseTicket(hit?.ticket ?? "");
    expect(providers[0]).toEqual(provider(1));
    expect(providers.length).toBeLessThan(16);
    expect(providers.map(({ id }) => id)).not.toContain(provider(100).id);
  });

  test("are no more than are wanted, of which further sources still count", () => {
    const hits = new Hits(DEFAULT_NETWORK, 2);
    hits.add(
      [1, 2, 3, 4].map((hash) => ticket(hash)),
      "flood",
    );
    hits.add([ticket(2, { providers: [provider(5)] })], "flood");
    expect([hits.count, hits.left]).toEqual([2, 0]);
    expect(hits.take().map(({ sources }) => sources)).toEqual([1, 2]);
  });

  test("are not what strangers cannot have meant well", () => {
    const hits = new Hits(DEFAULT_NETWORK, 10);
    const bad = [
      "peerloom:get/",
      "peerloom:get/AAAA",
      "https://evil.example/#get=x",
      ticket(1, { network: requireNetworkName("other") }),
      ticket(1, { providers: [] }),
      ...["../up", "a\u001b[2Jb", "a\u202eb", "", "con", "a\nb"].map((name) => ticket(1, { name })),
    ];
    for (const text of bad) hits.add([text], "flood");
    expect(hits.count).toBe(0);
    // An index that names another content than its ticket does.
    hits.add([ticket(1)], "index", { hash: "02".repeat(32), sources: 9 });
    expect(hits.count).toBe(0);
    hits.add([ticket(1)], "index", { hash: "01".repeat(32), sources: 9 });
    expect(hits.take()).toMatchObject([{ sources: 9, via: "index" }]);
  });

  test("have names that can be printed, and tickets that keep the name", () => {
    const hits = new Hits(DEFAULT_NETWORK, 10);
    hits.add([ticket(1, { name: "a\u2028b\u200fc" })], "flood");
    const [hit] = hits.take();
    expect(hit?.name).toBe("a\u{fffd}b\u{fffd}c");
    expect(parseTicket(hit?.ticket ?? "").name).toBe("a\u2028b\u200fc");
  });
});
