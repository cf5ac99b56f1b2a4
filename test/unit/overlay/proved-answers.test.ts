/** What a peer says of itself through others: its bytes as WIRE.md lays them down, and what proves nothing. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import { encodeContact } from "../../../peer/overlay/contact-codec.ts";
import { ProvedAnswers, saidIn } from "../../../peer/overlay/proved-answers.ts";
import { toHex } from "../../../shared/bytes.ts";
import { encode } from "../../../shared/codec.ts";
import { requireNetworkName } from "../../../shared/ids.ts";
import { hex } from "../identity/support.ts";

interface Vector {
  readonly seed: string;
  readonly network: string;
  readonly nonce: string;
  readonly addresses: readonly string[];
  readonly question: string;
  readonly said: string;
  readonly body: string;
}

const { answers } = JSON.parse(readFileSync(new URL("../vectors/answers.json", import.meta.url), "utf8")) as {
  answers: readonly Vector[];
};

test.each(answers)("the answer of a peer that listens at $addresses", async (vector) => {
  const identity = await identityFromSeed(hex(vector.seed));
  const network = requireNetworkName(vector.network);
  const proved = new ProvedAnswers(identity, network);
  const [nonce, body] = [hex(vector.nonce), hex(vector.body)];
  const said = encodeContact({ id: identity.id, addresses: vector.addresses });
  expect(toHex(encode([0, nonce]))).toBe(vector.question);
  expect(toHex(said)).toBe(vector.said);
  expect(toHex(await proved.prove(said, nonce))).toBe(vector.body);
  expect(toHex(saidIn(body))).toBe(vector.said);
  expect(await proved.isProved(identity.id, body, nonce)).toBe(true);
});

test("an answer that was changed, to another question, of another peer or network, or with no signature proves nothing", async () => {
  const [identity, liar] = [
    await identityFromSeed(hex("01".repeat(32))),
    await identityFromSeed(hex("02".repeat(32))),
  ];
  const network = requireNetworkName("demo");
  const nonce = new Uint8Array(12).fill(1);
  const said = encodeContact({ id: identity.id, addresses: ["tcp://192.0.2.1:1"] });
  const own = new ProvedAnswers(identity, network);
  const body = await own.prove(said, nonce);
  const isProved = (by: Uint8Array, to = nonce): Promise<boolean> => own.isProved(identity.id, by, to);
  expect(await isProved(body)).toBe(true);
  for (let i = 0; i < body.length; i += 7)
    expect(await isProved(body.map((byte, at) => (at === i ? byte ^ 1 : byte)))).toBe(false);
  expect(await isProved(body, new Uint8Array(12).fill(2))).toBe(false);
  expect(await isProved(await new ProvedAnswers(liar, network).prove(said, nonce))).toBe(false);
  const elsewhere = new ProvedAnswers(identity, requireNetworkName("other"));
  expect(await isProved(await elsewhere.prove(said, nonce))).toBe(false);
  for (const length of [0, 1, 63, said.length]) expect(await isProved(body.subarray(0, length))).toBe(false);
});

test("so many are signed at once, and past that none is, so that a flood costs its share", async () => {
  const identity = await identityFromSeed(hex("01".repeat(32)));
  const proved = new ProvedAnswers(identity, requireNetworkName("demo"));
  const said = new Uint8Array(4);
  const bodies = await Promise.all(
    Array.from({ length: 70 }, (_, i) => proved.prove(said, new Uint8Array(12).fill(i))),
  );
  expect(bodies.filter((body) => body.length > said.length)).toHaveLength(64);
  expect((await proved.prove(said, new Uint8Array(12))).length).toBe(said.length + 64);
});
