/** One order whatever way the entries came, as the plain definition has it, and a state that follows. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { Fold } from "../../../peer/services/feeds/fold.ts";
import type { FeedEntry } from "../../../peer/services/feeds/entry.ts";
import { type ForkChoice, LIGHTER_FIRST, Order, type Place } from "../../../peer/services/feeds/order.ts";
import { type PeerId, peerIdFromKey } from "../../../shared/ids.ts";

const WRITERS = 4;

interface Made {
  readonly place: Place;
  readonly links: readonly { readonly writer: number; readonly length: number }[];
}

const ids: readonly PeerId[] = Array.from({ length: WRITERS }, (_, i) =>
  peerIdFromKey(new Uint8Array(32).fill(i + 1)),
);
/** Hashes that follow no pattern and are the same in every run. */
const hashOf = ({ writer, seq }: Place): Uint8Array => seededRandom(`${writer}/${seq}`).bytes(32);
const source = { writers: ids, hashOf, timeMsOf: ({ writer, seq }: Place) => (writer * 7 + seq * 13) % 40 };
const nameOf = ({ writer, seq }: Place): string => `${writer}.${seq}`;

/** Writers that append now and then, linking to what they have heard of. */
function history(seed: number, count: number): Made[] {
  const random = seededRandom(seed);
  const lengths = ids.map(() => 0);
  return Array.from({ length: count }, () => {
    const writer = Math.floor(random.unit() * WRITERS);
    const links = lengths.flatMap((length, other) =>
      other !== writer && length > 0 && random.unit() < 0.3
        ? [{ writer: other, length: 1 + Math.floor(random.unit() * length) }]
        : [],
    );
    return { place: { writer, seq: (lengths[writer] as number)++ }, links };
  });
}

/** Any order of arrival in which causes come first. */
function arrival(made: readonly Made[], seed: number): Made[] {
  const random = seededRandom(`arrival ${seed}`);
  const left = [...made];
  const counts = ids.map(() => 0);
  const arrived: Made[] = [];
  while (left.length > 0) {
    const ready = left.filter(
      ({ place, links }) =>
        place.seq === counts[place.writer] &&
        links.every(({ writer, length }) => length <= (counts[writer] ?? 0)),
    );
    const next = ready[Math.floor(random.unit() * ready.length)] as Made;
    left.splice(left.indexOf(next), 1);
    counts[next.place.writer] = next.place.seq + 1;
    arrived.push(next);
  }
  return arrived;
}

function orderOf(
  made: readonly Made[],
  choose: ForkChoice,
  each: (order: Order, at: number) => void = () => {},
): Order {
  const order = new Order(source, choose);
  for (const { place, links } of made)
    each(order, order.add(place.writer, order.behindNext(place.writer, links)));
  return order;
}

const listed = (order: Order): string[] =>
  Array.from({ length: order.length }, (_, i) => nameOf(order.at(i)));

/** By the definition: of all that could come next, the one that the choice puts first. */
function reference(made: readonly Made[], order: Order): string[] {
  const counts = ids.map(() => 0);
  const names: string[] = [];
  while (names.length < made.length) {
    const ready = made.filter(
      ({ place, links }) =>
        place.seq === counts[place.writer] &&
        links.every(({ writer, length }) => length <= (counts[writer] ?? 0)),
    );
    const next = ready.reduce((best, each) =>
      order.isBefore(order.header(each.place), order.header(best.place)) ? each : best,
    );
    counts[next.place.writer] = next.place.seq + 1;
    names.push(nameOf(next.place));
  }
  return names;
}

const EARLIER_FIRST: ForkChoice = (a, b) => a.timeMs - b.timeMs;

test.each([
  ["who knew less first", LIGHTER_FIRST],
  ["the earlier first", EARLIER_FIRST],
  ["by hash alone", () => 0],
])("the order is that of the definition, however entries arrive: %s", (_, choose: ForkChoice) => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 60 }), (seed, way, count) => {
      const made = history(seed, count);
      const order = orderOf(arrival(made, way), choose);
      expect(listed(order)).toEqual(reference(made, order));
    }),
  );
});

test("causes stand before effects", () => {
  const made = history(3, 200);
  const places = new Map(listed(orderOf(arrival(made, 1), EARLIER_FIRST)).map((name, i) => [name, i]));
  for (const { place, links } of made) {
    for (const { writer, length } of links)
      expect(places.get(nameOf({ writer, seq: length - 1 }))).toBeLessThan(places.get(nameOf(place)) ?? -1);
  }
});

test("the state follows every change of the order, and that of a part is the part's own", async () => {
  const entry = (place: Place): FeedEntry => ({
    writer: ids[place.writer] as PeerId,
    seq: place.seq,
    hash: "",
    links: [],
    timeMs: 0,
    value: nameOf(place),
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(), async (seed, way) => {
      const made = history(seed, 150);
      const order = new Order(source, LIGHTER_FIRST);
      const fold = new Fold<readonly string[]>({
        order,
        initial: [],
        apply: (names, { writer, seq }) => [...names, nameOf({ writer: ids.indexOf(writer), seq })],
        // Now and then from a disk.
        read: (place) => (place.seq % 3 === 0 ? Promise.resolve(entry(place)) : entry(place)),
        pause: async () => {},
      });
      for (const [i, { place, links }] of arrival(made, way).entries()) {
        const behind = order.behindNext(place.writer, links);
        const isBehind = (name: string): boolean => {
          const [writer, seq] = name.split(".").map(Number) as [number, number];
          return seq < (behind[writer] ?? 0);
        };
        expect(await fold.stateOf(behind)).toEqual(listed(order).filter(isBehind));
        const at = order.add(place.writer, behind);
        if (at === order.length - 1) fold.push(place, entry(place));
        else fold.rewind(at);
        if (i % 7 === 0) await fold.catchUp();
      }
      await fold.catchUp();
      expect(fold.state).toEqual(listed(order));
    }),
    { numRuns: 20 },
  );
});
