/** Every property run says its seed; `PEERLOOM_SEED=… npx vitest run --project property` replays it. */
import fc from "fast-check";

const given = process.env["PEERLOOM_SEED"];
const seed = given === undefined || given === "" ? Math.floor(Math.random() * 2 ** 31) : Number(given);
if (!Number.isSafeInteger(seed)) throw new Error(`PEERLOOM_SEED must be an integer, not "${given}"`);

fc.configureGlobal({ seed });
console.log(`property seed=${seed} replay: PEERLOOM_SEED=${seed} npx vitest run --project property`);
