/** Places for getters: bounds for each peer and for all, and who loses its place to whom. */
import { expect, test } from "vitest";
import {
  type Getter,
  GETTER_STREAMS_MAX,
  Getters,
  GETTERS_MAX,
  IDLE_MS,
  OPENINGS_MAX,
  OPENINGS_OF_PEER_MAX,
} from "../../../peer/services/files/getters.ts";
import type { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, peerIdFromKey } from "../../../shared/ids.ts";

const BUSY = expect.objectContaining({ code: "files/busy" }) as Error;

function peer(number: number): PeerId {
  return peerIdFromKey(new Uint8Array(32).fill(number));
}

interface Place extends Getter {
  readonly ended: PeerloomError[];
}

function place(peerId: PeerId, idleMs: number): Place {
  const ended: PeerloomError[] = [];
  return { peerId, idleMs: () => idleMs, end: (error) => ended.push(error), ended };
}

/** All places taken, idle for so long each. */
function fill(getters: Getters, idleMs: (at: number) => number): Place[] {
  return Array.from({ length: GETTERS_MAX }, (_, at) => {
    const getter = place(peer(at), idleMs(at));
    getters.requireRoom(getter.peerId);
    getters.add(getter);
    return getter;
  });
}

test("where all are at work the next is told to come again, and has a place when one has gone", () => {
  const getters = new Getters();
  const [first] = fill(getters, () => IDLE_MS - 1);
  expect(() => getters.requireRoom(peer(200))).toThrow(BUSY);
  getters.delete(first as Place);
  getters.requireRoom(peer(200));
});

test("who has been idle longest loses its place, and nobody else", () => {
  const getters = new Getters();
  const places = fill(getters, (at) => IDLE_MS + (at === 7 ? 2 : at === 9 ? 1 : 0));
  getters.requireRoom(peer(200));
  expect(places.flatMap(({ ended }, at) => ended.map(({ code }) => `${at} ${code}`))).toEqual([
    "7 files/busy",
  ]);
});

test("one peer has so many places and no more, idle or not", () => {
  const getters = new Getters();
  for (let i = 0; i < GETTER_STREAMS_MAX; i++) getters.add(place(peer(1), 10 * IDLE_MS));
  expect(() => getters.requireRoom(peer(1))).toThrow(BUSY);
  getters.requireRoom(peer(2));
});

test("of those that have proved nothing one peer has a few, and past all the oldest ends", () => {
  const getters = new Getters();
  const ended: number[] = [];
  const proved: (() => void)[] = [];
  for (let i = 0; i < OPENINGS_MAX; i++)
    proved.push(getters.opening(peer(Math.floor(i / OPENINGS_OF_PEER_MAX)), () => ended.push(i)));
  expect(() => getters.opening(peer(0), () => {})).toThrow(BUSY);
  getters.opening(peer(200), () => {});
  expect(ended).toEqual([0]);
  proved[1]?.();
  getters.opening(peer(0), () => {});
  getters.opening(peer(0), () => {});
  expect(ended).toEqual([0, 2]);
});
