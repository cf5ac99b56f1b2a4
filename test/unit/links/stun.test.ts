import { expect, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import {
  askStun,
  decodeBindingSuccess,
  encodeBindingRequest,
  parseStunUrl,
  type StunAnswer,
} from "../../../peer/links/stun.ts";
import type { UdpEndpoint, UdpSocket } from "../../../peer/runtime-udp.ts";
import { fromHex } from "../../../shared/bytes.ts";
import { answerStun } from "../../natlab/stun-responder.ts";

const hex = (text: string): Uint8Array => fromHex(text.replaceAll(/\s/g, "")) ?? new Uint8Array(0);
const TRANSACTION = hex("b7e7a701bc34d686fa87dfae");

/** RFC 5769 §2.2 and §2.3. */
const IPV4_RESPONSE = hex(`
  0101003c 2112a442 b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220 00200008 0001a147e112a643
  00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96`);
const IPV6_RESPONSE = hex(`
  01010048 2112a442 b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220
  00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
  00080014 a382954e4be67bf11784c97c8292c275bfe3ed41 80280004 c8fb0b4c`);

test("the RFC's responses are read", () => {
  expect(decodeBindingSuccess(IPV4_RESPONSE, TRANSACTION)).toEqual({
    family: "IPv4",
    address: "192.0.2.1",
    port: 32_853,
  });
  expect(decodeBindingSuccess(IPV6_RESPONSE, TRANSACTION)).toEqual({
    family: "IPv6",
    address: "2001:db8:1234:5678:11:2233:4455:6677",
    port: 32_853,
  });
});

test("an answer to somebody else, a request and a cut answer are none", () => {
  const other = TRANSACTION.map((byte) => byte ^ 1);
  expect(decodeBindingSuccess(IPV4_RESPONSE, other)).toBeUndefined();
  expect(decodeBindingSuccess(encodeBindingRequest(TRANSACTION), TRANSACTION)).toBeUndefined();
  for (let length = 0; length < 44; length++)
    expect(decodeBindingSuccess(IPV4_RESPONSE.subarray(0, length), TRANSACTION)).toBeUndefined();
});

test.each([
  ["stun:stun.example.com", { host: "stun.example.com", port: 3478 }],
  ["stun:192.0.2.1:19302", { host: "192.0.2.1", port: 19_302 }],
  ["stun:[2001:db8::1]:3478", { host: "2001:db8::1", port: 3478 }],
  ["stun:host:0", undefined],
  ["stun:host:65536", undefined],
  ["turn:host:3478", undefined],
  ["stun:", undefined],
])("%s", (url, server) => {
  expect(parseStunUrl(url)).toEqual(server);
});

/** Answers the request of that number, counted from one; 0 answers none. */
function socketAnswering(number: number): UdpSocket & { readonly sent: number } {
  let sent = 0;
  const socket = {
    get sent() {
      return sent;
    },
    send: (bytes: Uint8Array, to: UdpEndpoint) => {
      sent += 1;
      const answer = answerStun(Buffer.from(bytes), { address: "198.51.100.7", port: 4321 });
      if (sent === number && answer !== undefined) socket.onMessage(answer, to);
      return Promise.resolve();
    },
    onMessage: (() => {}) as UdpSocket["onMessage"],
    close: () => {},
  };
  return socket;
}

async function ask(socket: UdpSocket): Promise<StunAnswer | undefined> {
  const clock = new SimClock();
  const asking = askStun(socket, { host: "192.0.2.1", port: 3478 }, simRuntime({ seed: 1, clock }));
  await clock.runUntil(asking);
  return asking;
}

test("a lost request is sent again, and silence ends", async () => {
  const second = socketAnswering(2);
  expect(await ask(second)).toMatchObject({ mapped: { address: "198.51.100.7", port: 4321 } });
  expect(second.sent).toBe(2);
  const silent = socketAnswering(0);
  expect(await ask(silent)).toBeUndefined();
  expect(silent.sent).toBe(3);
});
