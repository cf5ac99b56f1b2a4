/** An identity outlives its process, is never overwritten, and is one among all who share a storage. */
import { expect, test } from "vitest";
import { x25519PublicOf } from "../../../peer/identity/curve.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import {
  IDENTITY_PUBLIC_NAME,
  IDENTITY_SEED_NAME,
  type IdentityStoreOptions,
  loadOrCreateIdentity,
} from "../../../peer/identity/identity-store.ts";
import { verify } from "../../../peer/identity/verify.ts";
import type { Runtime, StoredValue } from "../../../peer/runtime.ts";
import { utf8 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { countingRandom, MemoryStorage, rejectionCode, seedOf } from "./support.ts";

type Host = Pick<Runtime, "name" | "storage" | "random">;

function host(
  storage: Runtime["storage"],
  options: { readonly name?: Runtime["name"]; readonly first?: number } = {},
): Host {
  return { name: options.name ?? "node", storage, random: countingRandom(options.first ?? 1) };
}

async function checkWorks(identity: Identity): Promise<void> {
  const other = await identityFromSeed(seedOf(9));
  expect(await verify(identity.id, utf8("x"), await identity.sign(utf8("x")))).toBe(true);
  expect(await identity.agree(x25519PublicOf(other.publicKey))).toEqual(
    await other.agree(x25519PublicOf(identity.publicKey)),
  );
}

test("Node keeps the seed and nothing else", async () => {
  const storage = new MemoryStorage();
  const first = await loadOrCreateIdentity(host(storage));
  expect([...storage.values.keys()]).toEqual([IDENTITY_SEED_NAME]);
  const second = await loadOrCreateIdentity(host(storage, { first: 77 }));
  expect(second.id).toBe(first.id);
  await checkWorks(second);
});

test("a browser keeps keys that nobody can read, and no seed", async () => {
  const storage = new MemoryStorage();
  const first = await loadOrCreateIdentity(host(storage, { name: "browser" }));
  expect([...storage.values.keys()].sort()).toEqual(
    [IDENTITY_PUBLIC_NAME, `identity-agree-${first.id}`, `identity-sign-${first.id}`].sort(),
  );
  expect(storage.values.get(`identity-sign-${first.id}`)).toMatchObject({ extractable: false });
  expect(storage.values.get(`identity-agree-${first.id}`)).toMatchObject({ extractable: false });
  const second = await loadOrCreateIdentity(host(storage, { name: "browser", first: 77 }));
  expect(second.id).toBe(first.id);
  await checkWorks(second);
});

test("where keys cannot be stored a browser keeps the seed", async () => {
  const storage = new MemoryStorage();
  const set = storage.set.bind(storage);
  storage.set = async (key: string, value: StoredValue) => {
    if (!(value instanceof Uint8Array)) throw new DOMException("no keys here", "DataCloneError");
    await set(key, value);
  };
  const first = await loadOrCreateIdentity(host(storage, { name: "browser" }));
  expect([...storage.values.keys()]).toEqual([IDENTITY_SEED_NAME]);
  expect((await loadOrCreateIdentity(host(storage, { name: "browser", first: 77 }))).id).toBe(first.id);
});

test.each<[string, Record<string, StoredValue>]>([
  ["a seed cut short", { [IDENTITY_SEED_NAME]: new Uint8Array(31) }],
  ["an empty seed file", { [IDENTITY_SEED_NAME]: new Uint8Array(0) }],
  ["a public key without its keys", { [IDENTITY_PUBLIC_NAME]: new Uint8Array(32).fill(3) }],
  ["a public key cut short", { [IDENTITY_PUBLIC_NAME]: new Uint8Array(5) }],
])("%s is unreadable and stays as it is", async (_, kept) => {
  const storage = new MemoryStorage();
  for (const [name, value] of Object.entries(kept)) storage.values.set(name, value);
  const before = new Map(storage.values);
  for (const name of ["node", "browser"] as const) {
    expect(await rejectionCode(loadOrCreateIdentity(host(storage, { name })))).toBe("identity/unreadable");
  }
  expect(storage.values).toEqual(before);
});

test("keys of another identity under this one's name are noticed", async () => {
  const [one, two] = [new MemoryStorage(), new MemoryStorage()];
  const a = await loadOrCreateIdentity(host(one, { name: "browser" }));
  const b = await loadOrCreateIdentity(host(two, { name: "browser", first: 77 }));
  for (const kind of ["sign", "agree"]) {
    const mixed = new MemoryStorage();
    for (const [name, value] of one.values) mixed.values.set(name, value);
    mixed.values.set(`identity-${kind}-${a.id}`, two.values.get(`identity-${kind}-${b.id}`) as StoredValue);
    expect(await rejectionCode(loadOrCreateIdentity(host(mixed, { name: "browser" })))).toBe(
      "identity/unreadable",
    );
  }
});

test("a storage that cannot be read or written says so itself", async () => {
  const unwritable = new MemoryStorage();
  unwritable.set = async () => {
    throw new PeerloomError("data/unwritable", "The data folder cannot be written.");
  };
  expect(await rejectionCode(loadOrCreateIdentity(host(unwritable)))).toBe("data/unwritable");
  const broken = new MemoryStorage();
  broken.get = async () => {
    throw new Error("disk on fire");
  };
  expect(await rejectionCode(loadOrCreateIdentity(host(broken)))).toBe("identity/unreadable");
  const forgetful = new MemoryStorage();
  forgetful.set = async () => {};
  expect(await rejectionCode(loadOrCreateIdentity(host(forgetful)))).toBe("identity/unreadable");
});

test.each(["node", "browser"] as const)(
  "two tabs that create at once under a lock end up as one peer (%s)",
  async (name) => {
    const storage = new MemoryStorage();
    const lock = oneAtATime();
    const [a, b] = await Promise.all([
      loadOrCreateIdentity(host(storage, { name }), { lock }),
      loadOrCreateIdentity(host(storage, { name, first: 77 }), { lock }),
    ]);
    expect(b.id).toBe(a.id);
    expect((await loadOrCreateIdentity(host(storage, { name }))).id).toBe(a.id);
  },
);

test("without a lock, who wrote first takes over what was written last", async () => {
  const storage = new MemoryStorage();
  const bothWrote = Promise.withResolvers<void>();
  let writes = 0;
  const set = storage.set.bind(storage);
  storage.set = async (key: string, value: StoredValue) => {
    await set(key, value);
    if (++writes === 2) bothWrote.resolve();
    await bothWrote.promise;
  };
  const [a, b] = await Promise.all([
    loadOrCreateIdentity(host(storage)),
    loadOrCreateIdentity(host(storage, { first: 77 })),
  ]);
  expect(b.id).toBe(a.id);
});

/** As navigator.locks.request does it. */
function oneAtATime(): NonNullable<IdentityStoreOptions["lock"]> {
  let last: Promise<unknown> = Promise.resolve();
  return (_, task) => {
    const run = last.then(task);
    last = run.catch(() => {});
    return run;
  };
}
