/** Strangers at a real edge: what each kind of attack costs at most, and that honest peers join beside it. `npm run attacks` is the same, larger. */
import { expect, test } from "vitest";
import { ATTACKS, measure } from "../attacks/suite.ts";

for (const attack of ATTACKS) {
  test(`${attack.name} costs no more than it may, and nobody else is kept out`, async () => {
    const { units, unitsMax, honestJoined, honest } = await measure(attack, { count: 20, honest: 5 });
    expect(honestJoined).toBe(honest);
    expect(units).toBeLessThanOrEqual(unitsMax);
  });
}
