/** What a gateway says, mutated: its decoders make something within bounds or nothing, and never throw. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { octetsOf } from "../../peer/links/address.ts";
import { decodeExternalAddress, decodeMapTcp } from "../../peer/links/port-mapping/nat-pmp.ts";
import { decodeMap, isAnnounced } from "../../peer/links/port-mapping/pcp.ts";
import { decodeSearchAnswer, servicesOf, valueOf } from "../../peer/links/port-mapping/upnp.ts";
import { utf8 } from "../../shared/bytes.ts";

const GATEWAY = "192.168.1.1";
const LOCATION = new URL(`http://${GATEWAY}:5000/rootDesc.xml`);
const nonce = new Uint8Array(12).fill(7);
const SEARCH_ANSWER = utf8(
  `HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: ${LOCATION.href}\r\n\r\n`,
);
const PCP_ANSWER = Uint8Array.of(
  ...[2, 0x81, 0, 0, 0, 0, 4, 0xb0, ...new Uint8Array(16)],
  ...[...nonce, 6, 0, 0, 0, 15, 160, 15, 160, ...new Uint8Array(10), 255, 255, 203, 0, 113, 5],
);
const NAT_PMP_ANSWER = Uint8Array.of(0, 0x82, 0, 0, 0, 0, 0, 1, 15, 160, 15, 160, 0, 0, 4, 0xb0);

/** Random bytes, or a good answer with some bytes changed and its end cut off. */
const said: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .record({
      good: fc.constantFrom(SEARCH_ANSWER, PCP_ANSWER, NAT_PMP_ANSWER),
      changes: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
      cut: fc.nat(),
    })
    .map(({ good, changes, cut }) => {
      const bytes = good.slice(0, good.length - (cut % 8));
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      return bytes;
    }),
);

test("datagrams", () => {
  fc.assert(
    fc.property(said, (bytes) => {
      isAnnounced(bytes);
      const pcp = decodeMap(bytes, { nonce, port: 4000 });
      if (pcp?.outerHost !== undefined) expect(octetsOf(pcp.outerHost)).toBeDefined();
      expect(pcp?.outerPort ?? 0).toBeLessThan(65_536);
      const address = decodeExternalAddress(bytes);
      if (address !== undefined) expect(octetsOf(address.value)).toBeDefined();
      expect(decodeMapTcp(bytes, 4000)?.value.outerPort ?? 0).toBeLessThan(65_536);
      expect(decodeSearchAnswer(bytes, GATEWAY)?.hostname ?? GATEWAY).toBe(GATEWAY);
    }),
  );
});

const piece = fc.constantFrom(
  ...["<service>", "</service>", "<serviceType>", "</serviceType>", "<controlURL>", "</controlURL>", "<a:"],
  ...[
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "/ctl",
    "http://192.0.2.1/ctl",
    "//192.0.2.1",
    "&amp;",
  ],
);

test("documents", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 8 })), { maxLength: 60 }), (pieces) => {
      const xml = pieces.join("");
      valueOf(xml, "errorCode");
      for (const { type, controlUrl } of servicesOf(xml, LOCATION, GATEWAY)) {
        expect(controlUrl.hostname).toBe(GATEWAY);
        expect(type).toMatch(/^urn:[\w:-]+$/);
      }
    }),
  );
});
