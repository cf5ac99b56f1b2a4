import { expect, test } from "vitest";
import { simAead } from "../../../peer/adapters/sim/aead.ts";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { concatBytes, utf8 } from "../../../shared/bytes.ts";

const random = seededRandom("aead");
const [keyBytes, nonce, header] = [random.bytes(32), random.bytes(12), random.bytes(7)];
const parts = [utf8("peer-to-peer "), utf8(""), utf8("without a server")];
const text = concatBytes(...parts);

async function sealed(): Promise<Uint8Array> {
  const key = await simAead().importKey("aes-256-gcm", keyBytes);
  return concatBytes(...(await key.seal(nonce, header, parts)));
}

async function open(
  bytes: Uint8Array,
  change: { key?: Uint8Array; nonce?: Uint8Array; header?: Uint8Array } = {},
) {
  const key = await simAead().importKey("aes-256-gcm", change.key ?? keyBytes);
  return key.open(change.nonce ?? nonce, change.header ?? header, bytes);
}

test("what was sealed in pieces opens as one text, and does not show it", async () => {
  const bytes = await sealed();
  expect(bytes).toHaveLength(text.length + 16);
  expect(await open(bytes)).toEqual(text);
  expect(new TextDecoder("latin1").decode(bytes)).not.toContain("peer");
});

test("one changed bit anywhere is noticed", async () => {
  const bytes = await sealed();
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    expect(await open(changed), `bit ${bit}`).toBeUndefined();
  }
});

test("another key, nonce, header or length is noticed", async () => {
  const bytes = await sealed();
  expect(await open(bytes, { key: random.bytes(32) })).toBeUndefined();
  expect(await open(bytes, { nonce: random.bytes(12) })).toBeUndefined();
  expect(await open(bytes, { header: random.bytes(7) })).toBeUndefined();
  expect(await open(bytes.subarray(0, -1))).toBeUndefined();
  expect(await open(new Uint8Array(3))).toBeUndefined();
});

test("later answers come out of order, each with its own text, and keep none of the caller's memory", async () => {
  const clock = new SimClock();
  const aead = simAead({ later: { clock, random: seededRandom(9), delayMsMax: 5 } });
  const key = await aead.importKey("aes-256-gcm", keyBytes);
  const order: number[] = [];
  const all = Array.from({ length: 8 }, async (_, index) => {
    const mutable = Uint8Array.of(index, index);
    const pieces = key.seal(nonce, header, [mutable]);
    mutable.fill(99);
    const opened = await key.open(nonce, header, concatBytes(...(await pieces)));
    order.push(index);
    expect(opened).toEqual(Uint8Array.of(index, index));
  });
  await clock.runUntil(Promise.all(all));
  expect(order).not.toEqual(order.toSorted((a, b) => a - b));
  clock.close();
});
