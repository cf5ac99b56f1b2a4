/** Ids are made only by their parsers, and each id has one spelling. */
import { expect, test } from "vitest";
import { PeerloomError } from "../../shared/errors.ts";
import {
  channelIdFrom,
  parseChannelId,
  parseNetworkName,
  parsePeerId,
  peerIdFromKey,
  publicKeyOf,
  requireNetworkName,
  requirePeerId,
  short,
} from "../../shared/ids.ts";

const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const id = peerIdFromKey(key);

test("a peer id has 52 characters and gives its key back", () => {
  expect(id).toHaveLength(52);
  expect(parsePeerId(id)).toBe(id);
  expect(publicKeyOf(id)).toEqual(key);
  expect(id.startsWith(short(id))).toBe(true);
});

test.each([
  ["too short", id.slice(1)],
  ["too long", `${id}a`],
  ["upper case", id.toUpperCase()],
  ["padded", `${id.slice(0, 51)}=`],
  ["bits past the last byte", `${"a".repeat(51)}b`],
  ["a line feed behind", `${id}\n`],
  ["empty", ""],
])("a peer id is refused: %s", (_, text) => {
  expect(parsePeerId(text)).toBeUndefined();
  expect(codeOf(() => requirePeerId(text))).toBe("id/invalid");
});

test("a channel id has 26 characters of 16 bytes", () => {
  const channel = channelIdFrom(key.slice(0, 16));
  expect(channel).toHaveLength(26);
  expect(parseChannelId(channel)).toBe(channel);
  expect(parseChannelId(`${"a".repeat(25)}b`)).toBeUndefined();
  expect(parseChannelId(id)).toBeUndefined();
});

test.each(["main", "a", "0", "my.net_1-x", "a".repeat(64)])("network name %j", (name) => {
  expect(parseNetworkName(name)).toBe(name);
  expect(requireNetworkName(name)).toBe(name);
});

test.each(["", ".main", "-a", "Main", "a b", "a/b", "a\n", "é", "a".repeat(65)])(
  "no network name: %j",
  (name) => {
    expect(parseNetworkName(name)).toBeUndefined();
    expect(codeOf(() => requireNetworkName(name))).toBe("network/invalid-name");
  },
);

test("keys and channels of the wrong length are our own mistake", () => {
  expect(codeOf(() => peerIdFromKey(new Uint8Array(31)))).toBe("internal/assertion");
  expect(codeOf(() => channelIdFrom(new Uint8Array(15)))).toBe("internal/assertion");
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof PeerloomError) return error.code;
    throw error;
  }
  return "nothing thrown";
}
