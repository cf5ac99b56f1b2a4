/** For every seed: the X25519 key that follows from the peer id is the one that WebCrypto has. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { isPeerKey, x25519PublicOf } from "../../../peer/identity/curve.ts";
import { keysFromSeed } from "../../../peer/identity/identity.ts";
import { agreementPublicOf } from "../../../peer/identity/x25519.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

test("the map equals WebCrypto's public key", async () => {
  await fc.assert(
    fc.asyncProperty(bytes32, async (seed) => {
      const { publicKey, agreement } = await keysFromSeed(seed);
      expect(isPeerKey(publicKey)).toBe(true);
      expect(x25519PublicOf(publicKey)).toEqual(await agreementPublicOf(agreement));
    }),
  );
});

test("any 32 bytes are a point or refused, never anything else", () => {
  let accepted = 0;
  fc.assert(
    fc.property(bytes32, (bytes) => {
      try {
        expect(x25519PublicOf(bytes)).toHaveLength(32);
        accepted += 1;
      } catch (error) {
        if (!(error instanceof PeerloomError)) throw error;
        expect(error.code).toBe("id/invalid");
      }
    }),
    { numRuns: 200 },
  );
  // Half of all y have a point; 200 tosses give fewer than 40 or more than 160 heads once in 10^17 runs.
  expect(accepted).toBeGreaterThan(40);
  expect(accepted).toBeLessThan(160);
});
