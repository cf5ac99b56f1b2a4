import fc from "fast-check";
import { expect, test } from "vitest";
import {
  AddressBook,
  ANCHORS,
  BOOK_ENTRIES_MAX,
  BOOK_PREFIX_MAX,
} from "../../../peer/overlay/address-book.ts";
import { addressPrefix } from "../../../peer/overlay/address-prefix.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { type PeerId, peerIdFromKey } from "../../../shared/ids.ts";

const NOW_S = 1_800_000_000;
const random = seededRandom(5);
const id = (): PeerId => peerIdFromKey(random.bytes(32));
const contact = (host: string): { readonly id: PeerId; readonly addresses: readonly string[] } => ({
  id: id(),
  addresses: [`tcp://${host}:4000`],
});
const all = (book: AddressBook): readonly PeerId[] =>
  book
    .candidates(
      BOOK_ENTRIES_MAX,
      () => 0.5,
      () => false,
    )
    .map((peer) => peer.id);

test("what is written is read again; what is old, or not ours, is not", () => {
  const book = new AddressBook();
  const [young, old] = [contact("192.0.2.1"), contact("198.51.100.1")];
  book.seen(young, 5, NOW_S);
  book.seen(old, 5, NOW_S - 31 * 86_400);
  const bytes = book.encode();
  expect(book.isChanged).toBe(false);
  expect(all(AddressBook.from(bytes, NOW_S))).toEqual([young.id]);
  expect(AddressBook.from(undefined, NOW_S).size).toBe(0);
});

test("a damaged book is an empty one, whatever its bytes", () => {
  const book = new AddressBook();
  for (let i = 0; i < 3; i++) book.seen(contact(`192.0.2.${i + 1}`), i, NOW_S);
  const whole = book.encode();
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, value, length) => {
      const bytes = Uint8Array.from(whole);
      bytes[at] = value;
      expect(AddressBook.from(bytes.subarray(0, length), NOW_S).size).toBeLessThanOrEqual(3);
    }),
    { numRuns: 500 },
  );
});

test("it is bounded, in all and for each prefix", () => {
  const book = new AddressBook();
  for (let i = 0; i < 3 * BOOK_PREFIX_MAX; i++) book.seen(contact(`192.0.2.${i + 1}`), 0, NOW_S);
  expect(book.size).toBe(BOOK_PREFIX_MAX);
  for (let i = 0; i < 2 * BOOK_ENTRIES_MAX; i++) book.seen(contact(`10.0.${i >> 7}.${i & 127}`), 0, NOW_S);
  expect(book.size).toBe(BOOK_ENTRIES_MAX);
});

test("who cannot be reached goes last, and is not forgotten for it", () => {
  const book = new AddressBook();
  const [good, bad] = [contact("192.0.2.1"), contact("198.51.100.1")];
  book.seen(bad, 0, NOW_S);
  book.seen(good, 0, NOW_S);
  book.failed(bad.id);
  expect(all(book)).toEqual([good.id, bad.id]);
  for (let i = 0; i < 200; i++) book.failed(bad.id);
  expect(all(AddressBook.from(book.encode(), NOW_S))).toEqual([good.id, bad.id]);
});

test("anchors are those linked longest; peers that cannot be dialled are not kept", () => {
  const book = new AddressBook();
  for (let i = 0; i < 5; i++) book.seen(contact(`192.0.2.${i + 1}`), i * 100, NOW_S);
  expect(book.anchors().map(({ linkedS }) => linkedS)).toEqual([400, 300].slice(0, ANCHORS));
  book.seen({ id: id(), addresses: [] }, 900, NOW_S);
  book.seen({ id: id(), addresses: ["nonsense"] }, 900, NOW_S);
  expect(book.size).toBe(5);
});

test.each([
  ["192.0.2.7", "192.0.2.0/24"],
  ["::ffff:192.0.2.7", "192.0.2.0/24"],
  ["2001:db8::1", "2001:db8:0::/48"],
  ["[2001:db8:5:6::1]", "2001:db8:5::/48"],
  ["127.0.0.1", undefined],
  ["10.1.2.3", undefined],
  ["172.20.0.1", undefined],
  ["192.168.1.1", undefined],
  ["169.254.1.1", undefined],
  ["::1", undefined],
  ["fe80::1", undefined],
  ["fd00::1", undefined],
  ["host.example", undefined],
])("the prefix of %s is %s", (host, prefix) => {
  expect(addressPrefix(host)).toBe(prefix);
});
