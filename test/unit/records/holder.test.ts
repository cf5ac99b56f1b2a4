/** A holder that coordinates a put, when the others answer in an order that the test chooses. Whole networks: test/sim. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { type MeshKey, meshKeyOf } from "../../../peer/overlay/mesh/mesh-key.ts";
import type { Mesh } from "../../../peer/overlay/mesh/mesh.ts";
import { RecordHolder } from "../../../peer/services/records/holder.ts";
import {
  decodeAnswer,
  decodeNote,
  encodeNote,
  encodeRequest,
  type RecordAnswer,
} from "../../../peer/services/records/protocol.ts";
import type { MutableRecord } from "../../../peer/services/records/record.ts";

const OWN = 1;
const WRITER = 2;
const OTHERS: readonly MeshKey[] = [11, 12];

/** A put of the first version, with checks that the test ends. */
function coordinate() {
  const clock = new SyncClock();
  const checks: ((isValid: boolean) => void)[] = [];
  const answers: (RecordAnswer | undefined)[] = [];
  let id = 0;
  const mesh: Pick<Mesh, "key" | "closest" | "rankOf" | "has" | "tell"> = {
    key: OWN,
    closest: () => [...OTHERS],
    rankOf: () => 0,
    has: () => true,
    tell: (_, body) => {
      const note = decodeNote(body);
      if (note?.kind === "push") id = note.id;
      return true;
    },
  };
  const holder = new RecordHolder({
    mesh: mesh as Mesh,
    clock,
    random: seededRandom(1),
    check: { check: (_, done) => checks.push(done) },
  });
  const version = (seq: number): MutableRecord => ({
    kind: "mutable",
    key: new Uint8Array(32).fill(9),
    expiresAtMs: clock.nowMs() + 3_600_000,
    publicKey: new Uint8Array(32),
    name: new Uint8Array(1),
    seq,
    value: Uint8Array.of(seq),
    signature: new Uint8Array(64),
  });
  const body = encodeRequest({ kind: "put", record: version(1), cas: undefined });
  const target = meshKeyOf(version(1).key);
  holder.serve({ target, body, ends: true, from: WRITER, origin: WRITER }, (answer) =>
    answers.push(decodeAnswer(answer)),
  );
  checks.shift()?.(true);
  return {
    answers,
    checks,
    version,
    receipt: (from: MeshKey, kept: boolean, current?: MutableRecord) =>
      holder.receive(from, encodeNote({ kind: "receipt", id, kept, current })),
  };
}

test("the last holder's newer version is checked before the writer is told", () => {
  const { answers, checks, version, receipt } = coordinate();
  receipt(11, true);
  receipt(12, false, version(2));
  expect(answers).toEqual([]);
  checks.shift()?.(true);
  expect(answers).toMatchObject([{ kind: "put", status: "stale", current: { seq: 2 } }]);
});

test("a version that is forged, or no newer, is no answer but that this one keeps nothing", () => {
  for (const [isValid, seq] of [
    [false, 2],
    [true, 0],
  ] as const) {
    const { answers, checks, version, receipt } = coordinate();
    receipt(12, false, version(seq));
    receipt(12, true);
    receipt(11, true);
    expect(answers).toEqual([]);
    checks.shift()?.(isValid);
    expect(answers).toMatchObject([{ kind: "put", status: "stored", copies: 2 }]);
  }
});
