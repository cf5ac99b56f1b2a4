/** When a peer looks for its own place. */
import { expect, test } from "vitest";
import { loneMesh } from "./lone-mesh.ts";

const OWN = 1_000;

test("with its first, third and sixth link, and so each time it begins with none", () => {
  const { mesh, linkTo, sent } = loneMesh(OWN);
  for (let round = 0; round < 3; round++) {
    sent.length = 0;
    const links = [1, 2, 3, 4, 5, 6, 7].map(linkTo);
    for (const link of links) mesh.add(link);
    const lookups = sent.filter(({ message }) => message.kind === "forward" && message.target === OWN);
    expect(lookups.map(({ to }) => to)).toEqual([1, 3, 6]);
    // What was asked through a link that is gone is asked elsewhere, which is another matter.
    for (const link of links) mesh.remove(link);
    expect(mesh.size).toBe(0);
  }
  mesh.kill();
});
