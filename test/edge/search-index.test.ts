/** The edge's search index: what is announced is found, by nobody else's hand, within its bounds, and forgotten in time. */
import { env, exports } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { ANNOUNCEMENTS_BURST, INDEX_LISTINGS_MAX } from "../../edge/search-index.ts";
import type { NetworkName } from "../../shared/ids.ts";
import {
  ANNOUNCEMENT_BYTES_MAX,
  type AnnouncedListing,
  announcementClaim,
  encodeAnnouncement,
  encodeSignedAnnouncement,
  HITS_BYTES_MAX,
  HITS_MAX,
  type IndexAnswer,
  type IndexHit,
  LISTING_TTL_MS,
  LISTINGS_MAX,
} from "../../shared/listings.ts";
import { freshNetwork, makeIdentity, ORIGIN, type TestIdentity } from "./harness.ts";
import { listing } from "./listing.ts";

interface Forgery {
  readonly origin?: string;
  readonly network?: NetworkName;
  readonly timeMs?: number;
  /** Signs instead of the one who is named. */
  readonly signer?: TestIdentity;
  /** The address that the edge sees. */
  readonly address?: string;
}

async function announce(
  network: NetworkName,
  who: TestIdentity,
  listings: readonly AnnouncedListing[],
  forgery: Forgery = {},
): Promise<{ readonly status: number; readonly code: unknown }> {
  const { origin = ORIGIN, timeMs = Date.now(), signer = who } = forgery;
  const body = encodeAnnouncement({ id: who.id, timeMs, listings });
  const signature = await signer.sign(announcementClaim(origin, forgery.network ?? network, body));
  return post(network, encodeSignedAnnouncement(body, signature), forgery.address);
}

async function post(
  network: string,
  body: Uint8Array,
  address?: string,
): Promise<{ readonly status: number; readonly code: unknown }> {
  const response = await exports.default.fetch(`${ORIGIN}/v1/net/${network}/listings`, {
    method: "POST",
    body: body as Uint8Array<ArrayBuffer>,
    headers: address === undefined ? {} : { "cf-connecting-ip": address },
  });
  const answer = (await response.json()) as { readonly code?: unknown };
  return { status: response.status, code: answer.code };
}

async function search(network: string, query: string): Promise<readonly IndexHit[]> {
  const response = await exports.default.fetch(
    `${ORIGIN}/v1/net/${network}/search?q=${encodeURIComponent(query)}`,
  );
  expect(response.status, query).toBe(200);
  return ((await response.json()) as IndexAnswer).hits;
}

const names = async (network: string, query: string): Promise<string[]> =>
  (await search(network, query)).map(({ name }) => name).toSorted();

describe("what is announced", () => {
  test("is found by all its words in any order and case, by none that it lacks, in its own network alone", async () => {
    const [network, other] = [freshNetwork(), freshNetwork()];
    const who = await makeIdentity();
    const cat = listing("Cat_Video (2024).MP4", { words: "Straße inside" });
    expect(await announce(network, who, [cat, listing("dog video.mp4")])).toMatchObject({ status: 200 });
    expect(await names(network, "video CAT")).toEqual([cat.name]);
    expect(await names(network, "video")).toEqual([cat.name, "dog video.mp4"]);
    expect(await names(network, "STRASSE inside mp4")).toEqual([cat.name]);
    expect(await names(network, "cat dog")).toEqual([]);
    expect(await names(network, "vid")).toEqual([]);
    expect(await names(other, "cat")).toEqual([]);
    const [hit] = await search(network, "cat");
    expect(hit).toEqual({
      name: cat.name,
      bytes: 10,
      hash: [...cat.hash].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
      ticket: cat.ticket,
      moreTickets: [],
      sources: 1,
    });
  });

  test("of several members under one hash is one hit with all of them", async () => {
    const network = freshNetwork();
    const same = listing("film.mkv");
    for (let i = 0; i < 6; i++)
      await announce(network, await makeIdentity(), [{ ...same, ticket: `peerloom:get/of-${i}` }]);
    await announce(network, await makeIdentity(), [listing("other film.mkv")]);
    const [first, second] = await search(network, "film");
    expect(first).toMatchObject({ sources: 6, ticket: "peerloom:get/of-5" });
    expect(first?.moreTickets).toHaveLength(3);
    expect(second).toMatchObject({ sources: 1, name: "other film.mkv" });
  });

  test("replaces what the member said before; nothing withdraws it", async () => {
    const network = freshNetwork();
    const who = await makeIdentity();
    const nowMs = Date.now();
    await announce(network, who, [listing("old thing")], { timeMs: nowMs - 2 });
    await announce(network, who, [listing("new thing")], { timeMs: nowMs - 1 });
    expect(await names(network, "thing")).toEqual(["new thing"]);
    await announce(network, who, [], { timeMs: nowMs });
    expect(await names(network, "thing")).toEqual([]);
    // What was once signed cannot be brought again.
    expect(await announce(network, who, [listing("old thing")], { timeMs: nowMs - 1 })).toEqual({
      status: 409,
      code: "search/stale",
    });
  });

  test("said again unchanged writes one row, and outlives the first hour", async () => {
    const network = freshNetwork();
    const who = await makeIdentity();
    const listings = [listing("kept thing", { words: "many other words" })];
    const stub = env.SEARCH.getByName(`${network}/0`);
    const nowMs = Date.now();
    await announce(network, who, listings, { timeMs: nowMs - 1 });
    await runInDurableObject(stub, (_, ctx) => {
      ctx.storage.sql.exec("UPDATE members SET expires = ?", Date.now() + 1_000);
    });
    const rowsBefore = await rows(network);
    await announce(network, who, listings, { timeMs: nowMs });
    expect(await rows(network)).toEqual(rowsBefore);
    await runInDurableObject(stub, (_, ctx) => {
      const { expires } = ctx.storage.sql.exec<{ expires: number }>("SELECT expires FROM members").one();
      expect(expires).toBeGreaterThan(Date.now() + LISTING_TTL_MS / 2);
    });
  });

  test("survives sleep, is forgotten when its time is over, and then nothing is left", async () => {
    const network = freshNetwork();
    const stub = env.SEARCH.getByName(`${network}/0`);
    await announce(network, await makeIdentity(), [listing("brief thing")]);
    await evictDurableObject(stub);
    expect(await names(network, "brief")).toEqual(["brief thing"]);
    await runInDurableObject(stub, (_, ctx) => {
      ctx.storage.sql.exec("UPDATE members SET expires = ?", Date.now() - 1);
    });
    expect(await names(network, "brief")).toEqual([]);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    await runInDurableObject(stub, (_, ctx) => {
      expect(
        ctx.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'listings'").toArray(),
      ).toEqual([]);
    });
    expect(await runDurableObjectAlarm(stub)).toBe(false);
    await announce(network, await makeIdentity(), [listing("next thing")]);
    expect(await names(network, "thing")).toEqual(["next thing"]);
  });

  async function rows(network: NetworkName): Promise<unknown> {
    return runInDurableObject(env.SEARCH.getByName(`${network}/0`), (_, ctx) =>
      ctx.storage.sql.exec("SELECT id, hash FROM listings").toArray(),
    );
  }
});

describe("who may announce", () => {
  test("only the holder of the key, for this edge and this network, now", async () => {
    const network = freshNetwork();
    const [victim, attacker] = [await makeIdentity(), await makeIdentity()];
    const things = [listing("forged thing")];
    const forgeries: readonly [string, Forgery, string][] = [
      ["another's name", { signer: attacker }, "search/forged"],
      ["another edge", { origin: "https://evil.example" }, "search/forged"],
      ["another network", { network: freshNetwork() }, "search/forged"],
      ["long ago", { timeMs: Date.now() - 130_000 }, "search/stale"],
      ["in the future", { timeMs: Date.now() + 130_000 }, "search/stale"],
    ];
    for (const [what, forgery, code] of forgeries)
      expect((await announce(network, victim, things, forgery)).code, what).toBe(code);
    expect(await names(network, "forged")).toEqual([]);
    expect((await announce(network, victim, things, { origin: "https://also.example" })).status).toBe(200);
  });

  test("no one's body that is malformed or too large, or whose network is none", async () => {
    const network = freshNetwork();
    const random = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
    for (const body of [new Uint8Array(0), random(1), random(200), new TextEncoder().encode("{}")])
      expect(await post(network, body)).toEqual({ status: 400, code: "wire/malformed" });
    expect(await post(network, new Uint8Array(ANNOUNCEMENT_BYTES_MAX + 1))).toEqual({
      status: 413,
      code: "wire/too-large",
    });
    expect((await post("UPPER", random(10))).code).toBe("network/invalid-name");
    const who = await makeIdentity();
    const bad: readonly Partial<AnnouncedListing>[] = [
      { ticket: "peerloom:get/<script>" },
      { ticket: `peerloom:get/${"a".repeat(3_000)}` },
      { name: "n".repeat(256) },
      { bytes: -1 },
      { hash: new Uint8Array(31) },
    ];
    for (const one of bad)
      expect((await announce(network, who, [listing("bad", one)])).code).toBe("wire/malformed");
    const tooMany = Array.from({ length: LISTINGS_MAX + 1 }, () => listing("many"));
    expect((await announce(network, who, tooMany)).code).toBe("wire/malformed");
  });

  test("each so often, and all together so much", async () => {
    const network = freshNetwork();
    const who = await makeIdentity();
    const nowMs = Date.now();
    const codes: unknown[] = [];
    for (let i = 0; i <= ANNOUNCEMENTS_BURST; i++)
      codes.push((await announce(network, who, [listing("again")], { timeMs: nowMs + i })).code);
    expect(codes.slice(0, -1).every((code) => code === undefined)).toBe(true);
    expect(codes.at(-1)).toBe("edge/rate-limited");
    expect(await names(network, "again")).toHaveLength(1);

    await runInDurableObject(env.SEARCH.getByName(`${network}/0`), (_, ctx) => {
      ctx.storage.sql.exec(
        "INSERT INTO members (id, expires, prefix, listings) VALUES ('x', ?, '', ?)",
        Date.now() + LISTING_TTL_MS,
        INDEX_LISTINGS_MAX - 2,
      );
    });
    await evictDurableObject(env.SEARCH.getByName(`${network}/0`));
    expect(await announce(network, await makeIdentity(), [listing("one more")])).toMatchObject({
      status: 200,
    });
    expect(await announce(network, await makeIdentity(), [listing("too many")])).toEqual({
      status: 503,
      code: "search/over-quota",
    });
  });
});

describe("a full index", () => {
  const full = async (
    network: NetworkName,
    members: readonly (readonly [string, number])[],
  ): Promise<void> => {
    await announce(network, await makeIdentity(), [listing("first thing")], { address: "203.0.113.7" });
    const stub = env.SEARCH.getByName(`${network}/0`);
    await runInDurableObject(stub, (_, ctx) => {
      for (const [index, [prefix, listings]] of members.entries())
        ctx.storage.sql.exec(
          "INSERT INTO members (id, expires, prefix, listings) VALUES (?, ?, ?, ?)",
          `0${index}`,
          Date.now() + LISTING_TTL_MS,
          prefix,
          listings,
        );
    });
    await evictDurableObject(stub);
  };
  const members = (network: NetworkName): Promise<unknown> =>
    runInDurableObject(env.SEARCH.getByName(`${network}/0`), (_, ctx) =>
      ctx.storage.sql.exec("SELECT id FROM members WHERE id LIKE '0%' ORDER BY id").toArray(),
    );

  test("takes a newcomer's listings in place of those of whose prefix has most, its longest lists first", async () => {
    const network = freshNetwork();
    await full(network, [
      ["10.0.0.0/24", 10_000],
      ["10.0.0.0/24", 128],
      ["10.0.1.0/24", INDEX_LISTINGS_MAX - 10_129],
    ]);
    const things = [listing("second thing"), listing("third thing")];
    const taken = await announce(network, await makeIdentity(), things, { address: "203.0.113.8" });
    expect(taken.status).toBe(200);
    expect(await names(network, "thing")).toEqual(["first thing", "second thing", "third thing"]);
    expect(await members(network)).toEqual([{ id: "01" }, { id: "02" }]);
  });

  test("takes no more of the prefix that has most", async () => {
    const network = freshNetwork();
    await full(network, [
      ["10.0.0.0/24", 15_000],
      ["10.0.1.0/24", INDEX_LISTINGS_MAX - 15_001],
    ]);
    const refused = await announce(network, await makeIdentity(), [listing("more")], { address: "10.0.0.9" });
    expect(refused.code).toBe("search/over-quota");
  });

  test("of an edge before prefixes were kept begins anew", async () => {
    const network = freshNetwork();
    const stub = env.SEARCH.getByName(`${network}/0`);
    await runInDurableObject(stub, (_, ctx) => {
      for (const statement of [
        "CREATE TABLE members (id TEXT PRIMARY KEY, time INTEGER, digest BLOB, expires INTEGER) WITHOUT ROWID",
        "CREATE TABLE listings (id INTEGER PRIMARY KEY, member TEXT, hash BLOB, name TEXT, bytes INTEGER, ticket TEXT)",
        "CREATE INDEX listings_of ON listings (member)",
        "CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'ascii', content = '', contentless_delete = 1)",
      ])
        ctx.storage.sql.exec(statement);
    });
    expect(await names(network, "thing")).toEqual([]);
    expect((await announce(network, await makeIdentity(), [listing("a thing")])).status).toBe(200);
    expect(await names(network, "thing")).toEqual(["a thing"]);
  });
});

describe("what is written", () => {
  test("was paid before, every row of it, until it is forgotten again", async () => {
    const network = freshNetwork();
    const who = await makeIdentity();
    const stub = env.SEARCH.getByName(`${network}/0`);
    let written = 0;
    const count = (ctx: DurableObjectState): void => {
      const { exec } = ctx.storage.sql;
      const { sql } = ctx.storage;
      vi.spyOn(Object.getPrototypeOf(sql) as typeof sql, "exec").mockImplementation(function (
        this: typeof sql,
        ...of: Parameters<typeof exec>
      ) {
        const cursor = exec.apply(this, of);
        written += cursor.rowsWritten;
        return cursor;
      } as typeof exec);
    };
    await runInDurableObject(stub, (_, ctx) => count(ctx));
    const nowMs = Date.now();
    const things = Array.from({ length: LISTINGS_MAX }, (_, index) =>
      listing(`thing ${index}`, { words: "of many words that are all different from each other indeed" }),
    );
    await announce(network, who, things, { timeMs: nowMs - 1 });
    await announce(network, who, [], { timeMs: nowMs });
    vi.restoreAllMocks();
    const { networks } = await env.LEDGER.getByName("edge").read();
    const usage = networks.find((one) => one.network === network)?.usage;
    expect(written).toBeGreaterThan(2 * LISTINGS_MAX);
    expect(usage?.rowsWritten).toBeGreaterThanOrEqual(written);
  });
});

describe("questions", () => {
  test("are words and nothing else: what FTS5 and SQL take for commands finds nothing and breaks nothing", async () => {
    const network = freshNetwork();
    await announce(network, await makeIdentity(), [listing("plain cat near dog")]);
    const matching = [
      '"cat"',
      "cat*",
      "cat^",
      "-cat",
      "text:cat",
      "(cat",
      "cat:plain",
      "cat' --",
      "cat\0dog",
    ];
    const found = await Promise.all(matching.map((query) => names(network, query)));
    // "text" is a word like any other, and not a column's name.
    expect(found.map(({ length }) => length)).toEqual(
      matching.map((query) => (query.startsWith("text") ? 0 : 1)),
    );
    const foreign = [
      "cat OR bird",
      "cat NOT dog",
      'cat" OR "bird',
      "NEAR(cat dog, 10)",
      "'; DROP TABLE members; --",
      "cat AND bird",
      "rank : 1",
      "%",
      "💥",
    ];
    for (const query of foreign.slice(0, -2)) expect(await names(network, query), query).toEqual([]);
    for (const query of [...foreign.slice(-2), "", " ", "x".repeat(513)]) {
      const url = `${ORIGIN}/v1/net/${network}/search?q=${encodeURIComponent(query)}`;
      const response = await exports.default.fetch(url);
      expect([response.status, ((await response.json()) as { code: unknown }).code]).toEqual([
        400,
        "usage/invalid",
      ]);
    }
    expect(await names(network, "near")).toEqual(["plain cat near dog"]);
  });

  test("get bounded answers", async () => {
    const network = freshNetwork();
    for (let member = 0; member < 2; member++) {
      const many = Array.from({ length: 60 }, (_, i) =>
        listing(`common ${member} ${i} ${"long ".repeat(40)}`, {
          ticket: `peerloom:get/${"t".repeat(700)}${i}`,
        }),
      );
      expect((await announce(network, await makeIdentity(), many)).status).toBe(200);
    }
    const url = `${ORIGIN}/v1/net/${network}/search?q=common`;
    const text = await (await exports.default.fetch(url)).text();
    expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(HITS_BYTES_MAX);
    const { hits } = JSON.parse(text) as IndexAnswer;
    expect(hits.length).toBeGreaterThan(20);
    expect(hits.length).toBeLessThanOrEqual(HITS_MAX);
  });

  test("in a network where nobody announced write nothing", async () => {
    const network = freshNetwork();
    expect(await names(network, "anything")).toEqual([]);
    await runInDurableObject(env.SEARCH.getByName(`${network}/0`), (_, ctx) => {
      expect(ctx.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'members'").toArray()).toEqual(
        [],
      );
    });
  });

  test("and announcements are counted", async () => {
    const network = freshNetwork();
    const figure = async (name: string): Promise<number> => {
      const text = await (await exports.default.fetch(`${ORIGIN}/metrics`)).text();
      return Number(new RegExp(`^peerloom_${name}_total (\\d+)$`, "m").exec(text)?.[1]);
    };
    const before = [await figure("searches"), await figure("announcements")];
    await announce(network, await makeIdentity(), [listing("counted")]);
    await search(network, "counted");
    // Answers are kept for a second.
    const deadline = Date.now() + 5_000;
    let seen = before;
    while (seen.some((count, i) => count <= (before[i] ?? 0)) && Date.now() < deadline)
      seen = [await figure("searches"), await figure("announcements")];
    expect(seen[0]).toBeGreaterThan(before[0] ?? 0);
    expect(seen[1]).toBeGreaterThan(before[1] ?? 0);
  });
});
