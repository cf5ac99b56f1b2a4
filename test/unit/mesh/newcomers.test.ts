/** What a peer does for newcomers that an edge has sent, while their links are being made, and what they make of it. */
import { expect, test } from "vitest";
import { encode } from "../../../shared/codec.ts";
import { encodeMesh, type Forward, type MeshMessage } from "../../../peer/overlay/mesh/mesh-messages.ts";
import type { MeshKey } from "../../../peer/overlay/mesh/mesh-key.ts";
import type { MeshLink } from "../../../peer/overlay/mesh/neighbour.ts";
import { loneMesh } from "./lone-mesh.ts";

const OWN = 1_000;
const NEWCOMER = 5;

function forward(body: Uint8Array, target: MeshKey, exact: boolean, from: MeshKey): Forward {
  return {
    kind: "forward",
    mid: target + (exact ? 1 : 2),
    target,
    exact,
    greedy: false,
    open: false,
    strays: 0,
    ttl: 20,
    budgetMs: 4_000,
    origin: from,
    promise: 2 ** 52,
    path: [from],
    dead: [],
    body,
  };
}

test("its place is looked for at once, and told to it when it is here", () => {
  const { mesh, linkTo, sent } = loneMesh(OWN);
  const neighbour = linkTo(4);
  mesh.add(neighbour);
  sent.length = 0;
  mesh.expect(NEWCOMER, true);
  mesh.expect(NEWCOMER, true);
  const asked = sent.map(({ message }) => message).filter(({ kind }) => kind === "forward") as Forward[];
  expect(asked).toHaveLength(1);
  const [{ mid, target, exact, body }] = asked as [Forward];
  expect({ target, exact, body }).toEqual({ target: NEWCOMER, exact: false, body: encode([0, true]) });
  const contacts = [4, OWN, 6].map((key) => [key, new Uint8Array([key % 256])]);
  const reply: MeshMessage = {
    kind: "reply",
    mid,
    origin: OWN,
    path: [],
    hops: 1,
    found: true,
    body: encode([contacts]),
  };
  mesh.receive(neighbour, encodeMesh(reply));
  sent.length = 0;
  mesh.add(linkTo(NEWCOMER));
  const told = sent.filter(({ to, message }) => to === NEWCOMER && message.kind === "contact");
  expect(told.map(({ message }) => message)).toEqual(
    [4, 6].map((key) => ({ kind: "contact", key, contact: new Uint8Array([key]) })),
  );
  mesh.kill();
});

test("who is closest to it has requests for it wait, once it has heard that it is coming", () => {
  for (const isComing of [true, false]) {
    const { mesh, linkTo, sent } = loneMesh(OWN);
    const asker = linkTo(2 ** 50);
    mesh.add(asker);
    const say = (message: MeshMessage): void => mesh.receive(asker, encodeMesh(message));
    const closest = OWN + 1;
    say(forward(encode(isComing ? [0, true] : [0]), closest, false, asker.key));
    sent.length = 0;
    say(forward(encode([1, new Uint8Array(1)]), closest, true, asker.key));
    const answers = sent.filter(({ message }) => message.kind === "reply");
    expect(answers).toHaveLength(isComing ? 0 : 1);
    sent.length = 0;
    mesh.add(linkTo(closest));
    expect(sent.some(({ to, message }) => to === closest && message.kind === "forward")).toBe(isComing);
    mesh.kill();
  }
});

test("a newcomer links to those it is told of, who has links enough does not, and nobody to all", () => {
  const { mesh, linkTo, opened } = loneMesh(OWN);
  const tell = (link: MeshLink, key: MeshKey): void =>
    mesh.receive(link, encodeMesh({ kind: "contact", key, contact: new Uint8Array([1]) }));
  const first = linkTo(2 ** 50);
  mesh.add(first);
  for (let key = 1; key <= 100; key++) tell(first, 2_000 + key);
  expect(opened).toEqual(Array.from({ length: 64 }, (_, i) => 2_001 + i));
  const ready = loneMesh(OWN);
  const links = Array.from({ length: 8 }, (_, i) => ready.linkTo(2 ** (40 + i)));
  for (const link of links) ready.mesh.add(link);
  ready.mesh.receive(
    links[0] as MeshLink,
    encodeMesh({ kind: "contact", key: 7, contact: new Uint8Array([1]) }),
  );
  expect(ready.opened).toEqual([]);
  mesh.kill();
  ready.mesh.kill();
});

test("a full table takes a few newcomers more", () => {
  const { mesh, linkTo } = loneMesh(0);
  // Far away from what is full here: the closest are always welcome.
  for (let i = 0; i < 40; i++) mesh.add(linkTo(i + 1));
  const far = (i: number): MeshKey => 2 ** 51 + i;
  expect(mesh.accepts(far(0))).toBe(false);
  let guests = 0;
  for (; guests < 100; guests++) {
    mesh.expect(far(guests), true);
    if (!mesh.accepts(far(guests))) break;
    mesh.add(linkTo(far(guests)));
  }
  expect(guests).toBe(8);
  mesh.kill();
});
