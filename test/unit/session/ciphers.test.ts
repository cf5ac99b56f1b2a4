/** Hosts differ in whose ciphers and hashes they have, never in the bytes: vectors of the RFCs, and each other's frames. */
import { describe, expect, test } from "vitest";
import { browserAead } from "../../../peer/adapters/browser/aead.ts";
import { nodeAead } from "../../../peer/adapters/node/aead.ts";
import { nodeHash } from "../../../peer/adapters/node/hash.ts";
import { webCryptoHash } from "../../../peer/adapters/web-crypto-hash.ts";
import type { AeadKey, AeadName, AeadProvider, HashProvider } from "../../../peer/runtime.ts";
import { nonceOf } from "../../../peer/session/seal.ts";
import { concatBytes, toHex, utf8 } from "../../../shared/bytes.ts";
import { FRAME, frameHeader } from "../../../shared/frame.ts";
import { hex } from "../identity/support.ts";
import { counting, flipped } from "./support.ts";

const NOTHING = new Uint8Array(0);

/** RFC 5869, appendix A.1 to A.3. */
const HKDF = [
  {
    secret: new Uint8Array(22).fill(0x0b),
    salt: counting(13, 0),
    info: counting(10, 0xf0),
    output: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf" + "34007208d5b887185865",
  },
  {
    secret: counting(80, 0),
    salt: counting(80, 0x60),
    info: counting(80, 0xb0),
    output:
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c" +
      "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71" +
      "cc30c58179ec3e87c14c01d5c1f3434f1d87",
  },
  {
    secret: new Uint8Array(22).fill(0x0b),
    salt: NOTHING,
    info: NOTHING,
    output: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d" + "9d201395faa4b61a96c8",
  },
];

const HASHES: [string, HashProvider][] = [
  ["node", nodeHash],
  ["WebCrypto", webCryptoHash],
];

describe.each(HASHES)("hashes of %s", (_, hash) => {
  test.each(HKDF)("HKDF as RFC 5869 has it: $output", async ({ secret, salt, info, output }) => {
    expect(toHex(await hash.hkdf(secret, salt, info, output.length / 2))).toBe(output);
  });

  test("SHA-256 as FIPS 180 has it", async () => {
    const digests = {
      "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      abc: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };
    for (const [text, digest] of Object.entries(digests)) {
      expect(toHex(await hash.sha256(utf8(text)))).toBe(digest);
    }
  });
});

test("both hashes agree where no vector reaches: an empty secret, as Noise's Split has it, and views of larger memory", async () => {
  const memory = counting(200, 3);
  for (const [secret, salt, length] of [
    [NOTHING, memory.subarray(7, 39), 64],
    [memory.subarray(100), memory.subarray(1, 2), 16],
  ] as const) {
    const [one, other] = await Promise.all(
      [nodeHash, webCryptoHash].map(async (hash) => hash.hkdf(secret, salt, NOTHING, length)),
    );
    expect(one).toEqual(other);
  }
  expect(nodeHash.sha256(memory.subarray(5, 90))).toEqual(await webCryptoHash.sha256(memory.slice(5, 90)));
});

const header = frameHeader(FRAME.data, 1);
const nonce = nonceOf(1);

async function keyFrom(aead: AeadProvider, name: AeadName): Promise<AeadKey> {
  return aead.importKey(name, counting(name === "aes-128-ocb" ? 16 : 32));
}

async function sealed(key: AeadKey, ...parts: readonly Uint8Array[]): Promise<Uint8Array> {
  return concatBytes(...(await key.seal(nonce, header, parts)));
}

test("Node and browsers seal the same bytes and open each other's, in one piece or in many, short or long", async () => {
  const keys = await Promise.all([nodeAead, browserAead].map((aead) => keyFrom(aead, "aes-256-gcm")));
  const [node, browser] = keys as [AeadKey, AeadKey];
  for (const length of [0, 1, 15, 16, 17, 4095, 4096, 70_001]) {
    const text = counting(length);
    const cut = length >> 1;
    const parts = [text.subarray(0, cut), NOTHING, text.subarray(cut)];
    const bytes = await sealed(node, ...parts);
    expect(await sealed(node, text)).toEqual(bytes);
    expect(await sealed(browser, text)).toEqual(bytes);
    expect(await sealed(browser, ...parts)).toEqual(bytes);
    expect(await browser.open(nonce, header, bytes)).toEqual(text);
    expect(await node.open(nonce, header, bytes)).toEqual(text);
  }
});

describe("aes-128-ocb", () => {
  /** RFC 7253, appendix A: nonce, associated data and plaintext, sealed. */
  const OCB = [
    ["bbaa99887766554433221100", "", "", "785407bfffc8ad9edcc5520ac9111ee6"],
    [
      "bbaa99887766554433221101",
      "0001020304050607",
      "0001020304050607",
      "6820b3657b6f615a5725bda0d3b4eb3a257c9af1f8f03009",
    ],
  ] as const;

  test.each(OCB)("as RFC 7253 has it: nonce %s", async (vectorNonce, data, text, bytes) => {
    const key = await nodeAead.importKey("aes-128-ocb", counting(16, 0));
    expect(toHex(concatBytes(...(await key.seal(hex(vectorNonce), hex(data), [hex(text)]))))).toBe(bytes);
    expect(await key.open(hex(vectorNonce), hex(data), hex(bytes))).toEqual(hex(text));
  });

  test("pieces and lengths make no difference", async () => {
    const key = await keyFrom(nodeAead, "aes-128-ocb");
    for (const length of [0, 1, 16, 4097, 70_001]) {
      const text = counting(length);
      const bytes = await sealed(key, text.subarray(0, length >> 1), text.subarray(length >> 1));
      expect(bytes).toEqual(await sealed(key, text));
      expect(await key.open(nonce, header, bytes)).toEqual(text);
    }
  });
});

const CIPHERS: [string, AeadProvider, AeadName][] = [
  ["aes-128-ocb of Node", nodeAead, "aes-128-ocb"],
  ["aes-256-gcm of Node", nodeAead, "aes-256-gcm"],
  ["aes-256-gcm of browsers", browserAead, "aes-256-gcm"],
];

describe.each(CIPHERS)("%s", (_, aead, name) => {
  const text = utf8("one frame");

  test("notices one turned bit, another header, nonce or key", async () => {
    const key = await keyFrom(aead, name);
    const bytes = await sealed(key, text);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      expect(await key.open(nonce, header, flipped(bytes, bit)), `bit ${bit}`).toBeUndefined();
    }
    expect(await key.open(nonceOf(2), header, bytes)).toBeUndefined();
    expect(await key.open(nonce, frameHeader(FRAME.control, 1), bytes)).toBeUndefined();
    const other = await aead.importKey(name, new Uint8Array(name === "aes-128-ocb" ? 16 : 32));
    expect(await other.open(nonce, header, bytes)).toBeUndefined();
    expect(await key.open(nonce, header, bytes)).toEqual(text);
  });

  test("opens nothing that is cut short, however short", async () => {
    const key = await keyFrom(aead, name);
    const bytes = await sealed(key, text);
    for (let length = 0; length < bytes.length; length++) {
      expect(await key.open(nonce, header, bytes.subarray(0, length)), `${length} bytes`).toBeUndefined();
    }
  });

  test("keeps nothing of the caller's memory, and gives memory of its own", async () => {
    const key = await keyFrom(aead, name);
    const own = text.slice();
    const sealing = key.seal(nonce, header, [own]);
    own.fill(0);
    const bytes = concatBytes(...(await sealing));
    const opened = await key.open(nonce, header, bytes);
    bytes.fill(0);
    expect(opened).toEqual(text);
  });
});
