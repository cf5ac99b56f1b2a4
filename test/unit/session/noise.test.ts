/** The handshake between two hosts: the same keys on both sides, and nothing but those. */
import { expect, test } from "vitest";
import { nodeAead } from "../../../peer/adapters/node/aead.ts";
import { nodeHash } from "../../../peer/adapters/node/hash.ts";
import { browserAead } from "../../../peer/adapters/browser/aead.ts";
import { webCryptoHash } from "../../../peer/adapters/web-crypto-hash.ts";
import { ephemeralKey, NoiseAcceptor, NoiseDialler, type NoiseHost } from "../../../peer/session/noise.ts";
import { fromHex, toHex, utf8 } from "../../../shared/bytes.ts";

const NODE: NoiseHost = { aead: nodeAead, hash: nodeHash };
const BROWSER: NoiseHost = { aead: browserAead, hash: webCryptoHash };
const PROLOGUE = utf8("peerloom/session/1\ndemo");

async function begin(host: NoiseHost, options: { readonly prologue?: Uint8Array } = {}) {
  const [dialler, acceptor] = [await ephemeralKey(), await ephemeralKey()];
  const begun = await NoiseDialler.begin({
    host,
    own: dialler,
    ephemeral: await ephemeralKey(),
    theirStatic: acceptor.publicKey,
    prologue: options.prologue ?? PROLOGUE,
    payload: utf8("hello"),
  });
  return { dialler, acceptor, ...begun };
}

test.each([
  ["Node and Node", NODE, NODE],
  ["a browser and Node", BROWSER, NODE],
  ["Node and a browser", NODE, BROWSER],
])("%s agree", async (_, ours, theirs) => {
  const { dialler, acceptor, handshake, message } = await begin(ours);
  const read = await NoiseAcceptor.read(theirs, acceptor, PROLOGUE, message);
  expect(read.theirStatic).toEqual(dialler.publicKey);
  expect(read.payload).toEqual(utf8("hello"));
  const answer = await read.answer(await ephemeralKey(), utf8("welcome"));
  const finished = await handshake.finish(answer.message);
  expect(finished.payload).toEqual(utf8("welcome"));
  expect(finished.keys).toEqual(answer.keys);
  expect(toHex(finished.keys.fromDialler)).not.toBe(toHex(finished.keys.fromAcceptor));
});

test("every changed byte of either message is refused, and a forged answer does not spoil the true one", async () => {
  const { acceptor, handshake, message } = await begin(NODE);
  for (let at = 0; at < message.length; at += 7) {
    const changed = message.slice();
    changed[at] = (changed[at] as number) ^ 0x40;
    await expect(NoiseAcceptor.read(NODE, acceptor, PROLOGUE, changed)).rejects.toMatchObject({
      code: "session/handshake-failed",
    });
  }
  const read = await NoiseAcceptor.read(NODE, acceptor, PROLOGUE, message);
  const answer = await read.answer(await ephemeralKey(), utf8("welcome"));
  for (let at = 0; at < answer.message.length; at += 7) {
    const forged = answer.message.slice();
    forged[at] = (forged[at] as number) ^ 0x40;
    await expect(handshake.finish(forged)).rejects.toMatchObject({ code: "session/handshake-failed" });
  }
  expect((await handshake.finish(answer.message)).keys).toEqual(answer.keys);
});

test("another network, another peer and a message cut short are refused", async () => {
  const { acceptor, message } = await begin(NODE);
  const refused = { code: "session/handshake-failed" };
  const other = utf8("peerloom/session/1\nother");
  await expect(NoiseAcceptor.read(NODE, acceptor, other, message)).rejects.toMatchObject(refused);
  await expect(NoiseAcceptor.read(NODE, await ephemeralKey(), PROLOGUE, message)).rejects.toMatchObject(
    refused,
  );
  for (const length of [0, 31, 79, 95, message.length - 1]) {
    const cut = message.subarray(0, length);
    await expect(NoiseAcceptor.read(NODE, acceptor, PROLOGUE, cut)).rejects.toMatchObject(refused);
  }
});

test("a key of small order is refused", async () => {
  const acceptor = await ephemeralKey();
  const message = new Uint8Array(120);
  await expect(NoiseAcceptor.read(NODE, acceptor, PROLOGUE, message)).rejects.toMatchObject({
    code: "session/handshake-failed",
  });
});

test.each([
  ["Node", nodeHash],
  ["WebCrypto", webCryptoHash],
])("HKDF and SHA-256 of %s are those of RFC 5869 and FIPS 180-4", async (_, hash) => {
  const hex = (text: string): Uint8Array => fromHex(text) ?? new Uint8Array(0);
  const derived = await hash.hkdf(
    new Uint8Array(22).fill(0x0b),
    hex("000102030405060708090a0b0c"),
    hex("f0f1f2f3f4f5f6f7f8f9"),
    42,
  );
  expect(toHex(derived)).toBe(
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  );
  expect(toHex(await hash.sha256(utf8("abc")))).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});
