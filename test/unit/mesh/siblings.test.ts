/** A crowd of keys that each are closer than those before: all are taken, and the table stays as large as tables are. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { encodeMesh, type MeshMessage } from "../../../peer/overlay/mesh/mesh-messages.ts";
import type { MeshKey } from "../../../peer/overlay/mesh/mesh-key.ts";
import { loneMesh } from "./lone-mesh.ts";

const TRIED = 2_513;
const MAX = 40 + 8;

test("a table takes whoever is closer, in the place of another, and what it tells of itself fits", () => {
  const { mesh, linkTo, sent } = loneMesh(0);
  const random = seededRandom("siblings");
  const draw = (): MeshKey => Math.floor(random.unit() * 2 ** 52);
  for (let i = 0; i < 40; i++) mesh.add(linkTo(draw()));
  let taken = 0;
  // From the farthest to the nearest, so that each is closer than the eighth.
  for (const key of Array.from({ length: TRIED }, draw).sort((a, b) => b - a)) {
    if (!mesh.accepts(key)) continue;
    const link = linkTo(key);
    mesh.add(link);
    mesh.receive(
      link,
      encodeMesh({ kind: "pong", id: pingOf(sent), place: { x: 0, y: 0, height: 1 }, error: 1 }),
    );
    taken += 1;
    expect(mesh.size).toBeLessThanOrEqual(MAX);
    expect(mesh.has(key)).toBe(true);
  }
  expect(taken).toBeGreaterThan(100);
  const greets = sent.map(({ message }) => message).filter((message) => message.kind === "greet");
  expect(Math.max(...greets.map(({ entries }) => entries.length))).toBeLessThan(MAX);
  mesh.kill();
});

function pingOf(sent: readonly { readonly message: MeshMessage }[]): number {
  const ping = sent.findLast(({ message }) => message.kind === "ping")?.message;
  return ping?.kind === "ping" ? ping.id : 0;
}
