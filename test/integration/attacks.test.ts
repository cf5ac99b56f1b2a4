/** Strangers at a real edge: what each kind of attack costs at most, and that honest peers join beside it. `npm run attacks` is the same, larger. */
import { afterAll, expect, test } from "vitest";
import { startAttackers } from "../attacks/attackers.ts";
import { ATTACKS, measure } from "../attacks/suite.ts";

const attackers = startAttackers();
afterAll(() => attackers.end());

for (const attack of ATTACKS) {
  test(`${attack.name} costs no more than it may, and nobody else is kept out`, async () => {
    const { units, unitsMax, honestJoined, honest } = await measure(
      attack,
      { count: 20, honest: 5 },
      attackers,
    );
    expect(honestJoined).toBe(honest);
    expect(units).toBeLessThanOrEqual(unitsMax);
  });
}
