/** What peers and the edge say to each other about searches: round trips, and nonsense at the door. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeMessage,
  encodeMessage,
  readMessages,
  type SearchMessage,
} from "../../../peer/services/search/protocol.ts";
import { readHits } from "../../../peer/services/search/index-client.ts";
import { encode } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { peerIdFromKey } from "../../../shared/ids.ts";
import {
  decodeSignedAnnouncement,
  encodeAnnouncement,
  encodeSignedAnnouncement,
  LISTINGS_MAX,
} from "../../../shared/listings.ts";

const LENGTH_BYTES = 4;
const query = {
  id: new Uint8Array(16).fill(7),
  words: ["cat", "video"],
  limit: 50,
  ttl: 8,
  budget: 128,
  timeMs: 5_000,
};
const MESSAGES: readonly SearchMessage[] = [
  { kind: "query", query },
  { kind: "digest", bytes: new Uint8Array(2_048).fill(1) },
  { kind: "hits", tickets: ["peerloom:get/abc", "peerloom:get/d-_E"] },
  { kind: "hits", tickets: Array.from({ length: 8 }, () => `peerloom:get/${"a".repeat(2_290)}`) },
  { kind: "end", touched: 128 },
];

const streamOf = (...chunks: Uint8Array[]): ReadableStream<Uint8Array> =>
  new Blob(chunks as BlobPart[]).stream();

async function readAll(readable: ReadableStream<Uint8Array>): Promise<SearchMessage[]> {
  const messages: SearchMessage[] = [];
  for await (const message of readMessages(readable)) messages.push(message);
  return messages;
}

describe("messages between peers", () => {
  test("come out as they went in, however the stream is cut", async () => {
    const bytes = MESSAGES.map(encodeMessage);
    expect(bytes.map((each) => decodeMessage(each.subarray(LENGTH_BYTES)))).toEqual(MESSAGES);
    expect(await readAll(streamOf(...bytes))).toEqual(MESSAGES);
    const all = new Uint8Array(await new Blob(bytes as BlobPart[]).arrayBuffer());
    const cut = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < all.length; at += 7) controller.enqueue(all.slice(at, at + 7));
        controller.close();
      },
    });
    expect(await readAll(cut)).toEqual(MESSAGES);
  });

  test("as they stand in WIRE.md", () => {
    const hex = (message: SearchMessage): string => Buffer.from(encodeMessage(message)).toString("hex");
    expect(hex({ kind: "end", touched: 3 })).toBe("00000003920303");
    expect(
      hex({ kind: "query", query: { ...query, words: ["cat"], ttl: 0, budget: 1, timeMs: 4_000 } }),
    ).toBe(`0000001f9700c410${"07".repeat(16)}91a36361743200` + "01cd0fa0");
  });

  const refused: readonly [string, unknown][] = [
    ["no array", "query"],
    ["no kind", []],
    ["an unknown kind", [4, 1]],
    ["a question without words", [0, query.id, [], 50, 8, 128, 5_000]],
    ["too many words", [0, query.id, "abcdefghi".split(""), 50, 8, 128, 5_000]],
    ["a word that is two", [0, query.id, ["cat video"], 50, 8, 128, 5_000]],
    ["a word in capitals", [0, query.id, ["Cat"], 50, 8, 128, 5_000]],
    ["an endless word", [0, query.id, ["a".repeat(65)], 50, 8, 128, 5_000]],
    ["a number as a word", [0, query.id, [1], 50, 8, 128, 5_000]],
    ["a short id", [0, new Uint8Array(15), ["cat"], 50, 8, 128, 5_000]],
    ["too much wanted", [0, query.id, ["cat"], 201, 8, 128, 5_000]],
    ["too far", [0, query.id, ["cat"], 50, 9, 128, 5_000]],
    ["too wide", [0, query.id, ["cat"], 50, 8, 129, 5_000]],
    ["too long", [0, query.id, ["cat"], 50, 8, 128, 30_001]],
    ["something after it", [0, query.id, ["cat"], 50, 8, 128, 5_000, 1]],
    ["a digest too large", [1, new Uint8Array(2_049)]],
    ["nine hits", [2, Array.from({ length: 9 }, () => "peerloom:get/a")]],
    ["a hit that is no ticket", [2, ["https://evil.example"]]],
    ["a hit that steers a terminal", [2, ["peerloom:get/\u001b[2J"]]],
    ["an end with a fraction", [3, 1.5]],
  ];
  test.each(refused)("%s is refused", (_, value) => {
    expect(() => decodeMessage(encode(value))).toThrow(PeerloomError);
  });

  test("any bytes are a message or a PeerloomError, on a stream too", async () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(...MESSAGES.map(encodeMessage)),
        fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 4 }),
      )
      .map(([bytes, changes]) => {
        const copy = Uint8Array.from(bytes);
        for (const [at, value] of changes) copy[at % copy.length] = value;
        return copy;
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), async (bytes) => {
        const caught = await readAll(streamOf(bytes)).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (caught !== undefined) expect(caught).toMatchObject({ code: "search/protocol" });
      }),
    );
  });
});

describe("announcements", () => {
  const listing = {
    hash: new Uint8Array(32).fill(3),
    name: "cat ü.mp4",
    bytes: 5,
    words: "cat ü mp4",
    ticket: "peerloom:get/a",
  };
  const announcement = {
    id: peerIdFromKey(new Uint8Array(32).fill(9)),
    timeMs: 1_800_000_000_000,
    listings: [listing],
  };

  test("come out as they went in", () => {
    const body = encodeAnnouncement(announcement);
    const signature = new Uint8Array(64).fill(5);
    expect(decodeSignedAnnouncement(encodeSignedAnnouncement(body, signature))).toEqual({
      announcement,
      body,
      signature,
    });
    const full = encodeAnnouncement({
      ...announcement,
      listings: Array.from({ length: LISTINGS_MAX }, () => listing),
    });
    expect(
      decodeSignedAnnouncement(encodeSignedAnnouncement(full, signature)).announcement.listings,
    ).toHaveLength(LISTINGS_MAX);
  });

  test("any bytes are one or a PeerloomError", () => {
    const whole = encodeSignedAnnouncement(encodeAnnouncement(announcement), new Uint8Array(64));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 5 }), (changes) => {
        const copy = Uint8Array.from(whole);
        for (const [at, value] of changes) copy[at] = value;
        try {
          decodeSignedAnnouncement(copy);
        } catch (error) {
          expect(error).toBeInstanceOf(PeerloomError);
        }
      }),
    );
  });
});

test("of an edge's answer only what is well formed is taken", () => {
  const hit = {
    name: "n",
    bytes: 1,
    hash: "aa",
    ticket: "peerloom:get/a",
    moreTickets: ["peerloom:get/b", 7, "x"],
    sources: 2,
  };
  expect(readHits({ hits: [hit] })).toEqual([
    { hash: "aa", tickets: ["peerloom:get/a", "peerloom:get/b"], sources: 2 },
  ]);
  const none = [null, 1, "x", [], {}, { hits: 1 }, { hits: [null, 1, [], {}] }];
  const bad = [{ ticket: "no" }, { hash: 1 }, { sources: 0 }, { sources: "2" }].map((some) => ({
    hits: [{ ...hit, moreTickets: [], ...some }],
  }));
  for (const answer of [...none, ...bad]) expect(readHits(answer), JSON.stringify(answer)).toEqual([]);
  expect(readHits({ hits: Array.from({ length: 1_000 }, () => hit) })).toHaveLength(50);
});
