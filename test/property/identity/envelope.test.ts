/** Whatever is changed on the way, an envelope is refused with a typed error; untouched, it gives back what went in. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { EnvelopeOpener, sealEnvelope } from "../../../peer/identity/envelope.ts";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { DEFAULT_NETWORK } from "../../../shared/ids.ts";

const NOW_MS = 1_800_000_000_000;
const clock = { nowMs: () => NOW_MS };
const random = {
  bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)),
  unit: () => 0.5,
};
const [sender, target] = await Promise.all([
  identityFromSeed(new Uint8Array(32).fill(1)),
  identityFromSeed(new Uint8Array(32).fill(2)),
]);

const newOpener = (): EnvelopeOpener =>
  new EnvelopeOpener({ identity: target, network: DEFAULT_NETWORK, clock });

test("contents come back, and so does their sender", async () => {
  const opener = newOpener();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (content) => {
      const opened = await opener.open(
        await sealEnvelope(sender, target.id, DEFAULT_NETWORK, content, NOW_MS, random),
      );
      expect(opened).toEqual({ from: sender.id, content, messageId: expect.any(Uint8Array) });
    }),
  );
});

test("a changed envelope is refused", async () => {
  const opener = newOpener();
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (content, at, change) => {
        const sealed = await sealEnvelope(sender, target.id, DEFAULT_NETWORK, content, NOW_MS, random);
        const index = at % sealed.length;
        sealed[index] = (sealed[index] as number) ^ change;
        await expectRefused(opener, sealed);
      },
    ),
    { numRuns: 200 },
  );
});

test("noise is refused", async () => {
  const opener = newOpener();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), (noise) => expectRefused(opener, noise)),
    { numRuns: 200 },
  );
});

async function expectRefused(opener: EnvelopeOpener, sealed: Uint8Array): Promise<void> {
  const error = await opener.open(sealed).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(PeerloomError);
  expect(["signal/forged", "wire/malformed"]).toContain((error as PeerloomError).code);
}
