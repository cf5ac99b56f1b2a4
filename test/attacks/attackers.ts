/** The process of the attackers, told what to do by IPC: what they compute must not make honest peers wait in their own loop. */
import { fileURLToPath } from "node:url";
import { answerCalls, Remote } from "../bench/lib/remote.ts";
import { ATTACKS } from "./suite.ts";

export interface AttackOperations {
  /** Runs an attack to its end. */
  run: { args: { attack: string; edge: string; count: number }; result: null };
}

export function startAttackers(): Remote<AttackOperations> {
  return new Remote<AttackOperations>(fileURLToPath(import.meta.url), [], "attackers");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  answerCalls<AttackOperations>(
    {
      async run({ attack, edge, count }) {
        const known = ATTACKS.find(({ name }) => name === attack);
        if (known === undefined) throw new Error(`There is no attack "${attack}".`);
        await known.run(edge, count);
        return null;
      },
    },
    () => Promise.resolve(),
  );
}
