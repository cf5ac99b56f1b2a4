/** The three protocols against gateways of the test's own: what they say is a stranger's word. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { nodeRuntime } from "../../../peer/adapters/node/runtime.ts";
import { findMappers } from "../../../peer/links/port-mapping/find-mappers.ts";
import type { PortMapper } from "../../../peer/links/port-mapping/mapper.ts";
import { decodeExternalAddress, decodeMapTcp } from "../../../peer/links/port-mapping/nat-pmp.ts";
import { decodeMap, encodeMap, isAnnounced } from "../../../peer/links/port-mapping/pcp.ts";
import { decodeSearchAnswer, servicesOf, valueOf } from "../../../peer/links/port-mapping/upnp.ts";
import type { Clock, Runtime } from "../../../peer/runtime.ts";
import type { UdpEndpoint, UdpHost, UdpSocket } from "../../../peer/runtime-udp.ts";
import { concatBytes, fromHex, toHex, utf8 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const bytesOf = (hex: string): Uint8Array => fromHex(hex.replaceAll(" ", "")) ?? new Uint8Array();

const GATEWAY = "127.0.0.1";
const LOCAL = "127.0.0.2";
const NONCE = bytesOf("0102030405060708090a0b0c");
const never = new AbortController().signal;

/** Answers of a gateway to one datagram at one of its ports. */
type Answers = (request: Uint8Array, to: UdpEndpoint) => readonly Uint8Array[];

/** No answer that is waited for comes later than at once, so nobody waits for one in earnest. */
const impatient: Clock = {
  ...nodeRuntime({ dataDir: undefined, webrtc: undefined }).clock,
  sleep: () => new Promise((resolve) => setImmediate(resolve)),
};

function runtimeWith(answers: Answers, from: Partial<UdpEndpoint> = {}): Runtime {
  const udp: UdpHost = {
    addresses: () => [LOCAL],
    route: () => Promise.resolve({ gateway: GATEWAY, local: LOCAL }),
    open: () => {
      const socket: UdpSocket = {
        onMessage: () => {},
        close: () => {},
        send: async (bytes, to) => {
          for (const answer of answers(bytes, to))
            socket.onMessage(answer, { host: GATEWAY, port: to.port, ...from });
        },
      };
      return Promise.resolve(socket);
    },
  };
  return { ...nodeRuntime({ dataDir: undefined, webrtc: undefined }), clock: impatient, udp };
}

async function mappersOf(runtime: Runtime, listenHost = "0.0.0.0"): Promise<PortMapper[]> {
  const found: PortMapper[] = [];
  for await (const mapper of findMappers(runtime, { listenHost, nonce: NONCE }, never)) found.push(mapper);
  return found;
}

/** A PCP server (RFC 6887) that gives the port asked for, and keeps what it has mapped. */
function pcpServer(mapped: Map<number, number>, result = 0): Answers {
  return (request, { port }) => {
    if (port !== 5351 || request[0] !== 2) return [];
    const head = Uint8Array.of(
      2,
      0x80 | (request[1] as number),
      0,
      result,
      0,
      0,
      4,
      0xb0,
      ...new Uint8Array(16),
    );
    if (request[1] === 0) return [head];
    const body = request.slice(24);
    const inner = ((body[16] as number) << 8) | (body[17] as number);
    const isForgotten = toHex(request.subarray(4, 8)) === "00000000";
    if (isForgotten) mapped.delete(inner);
    else if (result === 0) mapped.set(inner, inner + 1);
    body.set([(inner + 1) >> 8, (inner + 1) & 0xff], 18);
    body.set(bytesOf("0000 0000 0000 0000 0000 ffff cb00 7105"), 20);
    return [concatBytes(head, body)];
  };
}

test("PCP: MAP as RFC 6887 §7.1 and §11.1 have it", () => {
  const nonce = NONCE;
  const request = encodeMap({
    client: "192.168.1.2",
    nonce,
    port: 4000,
    outerPort: 5000,
    lifetimeSeconds: 1200,
  });
  expect(toHex(request)).toBe(
    "02010000" + // version, opcode, reserved
      "000004b0" + // lifetime
      "00000000000000000000ffffc0a80102" + // client
      "0102030405060708090a0b0c" + // nonce
      "06000000" + // TCP
      "0fa01388" + // inner and outer port
      "00000000000000000000ffff00000000", // any IPv4 address
  );
  const answer = bytesOf(
    "02810000 00000258 00000001 000000000000000000000000" +
      "0102030405060708090a0b0c 06000000 0fa01389 00000000000000000000ffffcb007105",
  );
  const expected = { result: 0, lifetimeSeconds: 600, outerPort: 5001, outerHost: "203.0.113.5" };
  expect(decodeMap(answer, { nonce, port: 4000 })).toEqual(expected);
  expect(decodeMap(answer, { nonce, port: 4001 })).toBeUndefined();
  expect(decodeMap(answer, { nonce: new Uint8Array(12), port: 4000 })).toBeUndefined();
  for (let length = 0; length < answer.length; length++)
    expect(decodeMap(answer.subarray(0, length), { nonce, port: 4000 })).toBeUndefined();
  // NAT-PMP's "unsupported version" is how its servers answer PCP.
  expect(isAnnounced(bytesOf("0080 0001 00000000"))).toBe(false);
});

test("NAT-PMP: answers as RFC 6886 §3.2 and §3.3 have them, and nothing shorter", () => {
  const address = bytesOf("0080 0000 00000001 cb007105");
  expect(decodeExternalAddress(address)).toEqual({ result: 0, value: "203.0.113.5" });
  const map = bytesOf("0082 0000 00000001 0fa0 1389 00000258");
  expect(decodeMapTcp(map, 4000)).toEqual({ result: 0, value: { outerPort: 5001, lifetimeSeconds: 600 } });
  expect(decodeMapTcp(map, 4001)).toBeUndefined();
  for (let length = 0; length < map.length; length++) {
    expect(decodeMapTcp(map.subarray(0, length), 4000)).toBeUndefined();
    expect(decodeExternalAddress(address.subarray(0, Math.min(length, 11)))).toBeUndefined();
  }
});

test("a gateway that speaks PCP maps by it, renews the same outer port, and forgets", async () => {
  const mapped = new Map<number, number>();
  const [mapper] = await mappersOf(runtimeWith(pcpServer(mapped)));
  expect(mapper?.protocol).toBe("PCP");
  expect(await mapper?.map(4000, 1_200_000, never)).toEqual({
    host: "203.0.113.5",
    port: 4001,
    lifetimeMs: 1_200_000,
  });
  expect([...mapped]).toEqual([[4000, 4001]]);
  await mapper?.unmap(never);
  expect(mapped.size).toBe(0);
});

test("an old gateway maps by NAT-PMP", async () => {
  const natPmp: Answers = (request, { port }) => {
    if (port !== 5351) return [];
    if (request[0] !== 0) return [bytesOf("0080 0001 00000001")];
    if (request[1] === 0) return [bytesOf("0080 0000 00000001 cb007105")];
    return [concatBytes(bytesOf("0082 0000 00000001"), request.slice(4, 8), request.slice(8, 12))];
  };
  const [mapper] = await mappersOf(runtimeWith(natPmp));
  expect(mapper?.protocol).toBe("NAT-PMP");
  expect(await mapper?.map(4000, 1_200_000, never)).toEqual({
    host: "203.0.113.5",
    port: 4000,
    lifetimeMs: 1_200_000,
  });
  await mapper?.unmap(never);
});

test("a refusal and silence are errors that say so", async () => {
  const answers = { current: pcpServer(new Map()) };
  const [mapper] = await mappersOf(runtimeWith((...call) => answers.current(...call)));
  answers.current = pcpServer(new Map(), 2);
  await expect(mapper?.map(4000, 1, never)).rejects.toMatchObject({
    code: "link/failed",
    message: expect.stringContaining("not authorised") as string,
  });
  answers.current = () => [];
  await expect(mapper?.map(4000, 1, never)).rejects.toMatchObject({ code: "link/timeout" });
});

test("a network that forbids multicast, and a description that is nonsense, hide nothing", async () => {
  const { answers } = await router(
    () => ({ xml: ADDRESS }),
    (response) => void response.end(Buffer.from([0xff])),
  );
  const pcp = pcpServer(new Map());
  const runtime = runtimeWith((request, to) => {
    if (to.host === "239.255.255.250") throw new PeerloomError("link/failed", "Not permitted.");
    return [...pcp(request, to), ...answers(request, to)];
  });
  const found: string[] = [];
  const looking = (async () => {
    for await (const { protocol } of findMappers(runtime, { listenHost: "0.0.0.0", nonce: NONCE }, never))
      found.push(protocol);
  })();
  await expect(looking).rejects.toMatchObject({ code: "link/failed" });
  expect(found).toEqual(["PCP"]);
});

test.each([
  ["another machine", { host: "127.0.0.9" }],
  ["another port", { port: 4000 }],
])("an answer of %s is none", async (_, from) => {
  expect(await mappersOf(runtimeWith(pcpServer(new Map()), from))).toEqual([]);
});

test("a listener that the gateway cannot send to is said", async () => {
  const runtime = runtimeWith(pcpServer(new Map()));
  await expect(mappersOf(runtime, "127.0.0.5")).rejects.toMatchObject({ code: "link/unavailable" });
  expect(await mappersOf(runtime, LOCAL)).toHaveLength(1);
  expect(await mappersOf({ ...runtime, udp: undefined })).toEqual([]);
});

/** A router of UPnP: HTTP for the description and the actions, and its answer to a search. */
interface Router {
  readonly answers: Answers;
  /** Actions by name, with what was sent. */
  readonly asked: { readonly action: string; readonly body: string }[];
  readonly url: string;
}

const serviceOf = (type: string, controlUrl: string): string =>
  `<service><serviceType>urn:schemas-upnp-org:service:${type}</serviceType><controlURL>${controlUrl}</controlURL></service>`;
const DESCRIPTION =
  '<?xml version="1.0"?><root><device><serviceList>' +
  serviceOf("Layer3Forwarding:1", "/ctl/L3F") +
  serviceOf("WANPPPConnection:1", "/ctl/PPP") +
  serviceOf("WANIPConnection:1", "/ctl/IP") +
  "</serviceList></device></root>";

async function router(
  act: (action: string, body: string) => { readonly status?: number; readonly xml: string },
  describe: (response: ServerResponse, request: IncomingMessage) => void = (response) =>
    void response.end(DESCRIPTION),
): Promise<Router> {
  const asked: Router["asked"] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      if (request.method === "GET") return describe(response, request);
      const action = /#(\w+)"/.exec(String(request.headers["soapaction"]))?.[1] ?? "";
      if (request.url === "/ctl/PPP") return void response.writeHead(500).end(fault(501));
      asked.push({ action, body });
      const { status = 200, xml } = act(action, body);
      response.writeHead(status, { "Content-Type": "text/xml" }).end(xml);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, GATEWAY, resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://${GATEWAY}:${(server.address() as AddressInfo).port}/desc.xml`;
  return { asked, url, answers: searchAnswers(url) };
}

const ST = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";
const searchAnswers =
  (location: string): Answers =>
  (_, { port }) =>
    port === 1900 ? [utf8(`HTTP/1.1 200 OK\r\nST: ${ST}\r\nLocation: ${location}\r\n\r\n`)] : [];

const fault = (code: number): string =>
  `<s:Envelope><s:Body><s:Fault><detail><UPnPError xmlns="x"><errorCode>${code}</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>`;
const ADDRESS = "<s:Body><u:R><NewExternalIPAddress>203.0.113.5</NewExternalIPAddress></u:R></s:Body>";

test("a router of UPnP alone maps, another port where that one is taken, and for ever where it knows no end", async () => {
  const { answers, asked } = await router((action, body) => {
    if (action === "GetExternalIPAddress") return { xml: ADDRESS };
    if (action !== "AddPortMapping") return { xml: "<ok/>" };
    if (valueOf(body, "NewExternalPort") === "4000") return { status: 500, xml: fault(718) };
    return valueOf(body, "NewLeaseDuration") === "0" ? { xml: "<ok/>" } : { status: 500, xml: fault(725) };
  });
  const [mapper] = await mappersOf(runtimeWith(answers));
  expect(mapper?.protocol).toBe("UPnP-IGD");
  const mapped = await mapper?.map(4000, 1_200_000, never);
  expect(mapped).toMatchObject({ host: "203.0.113.5", lifetimeMs: 1_200_000 });
  expect(mapped?.port).toBeGreaterThanOrEqual(49_152);
  await mapper?.unmap(never);
  const last = asked.at(-1);
  expect(last?.action).toBe("DeletePortMapping");
  expect(valueOf(last?.body ?? "", "NewExternalPort")).toBe(String(mapped?.port));
  expect(valueOf(last?.body ?? "", "NewProtocol")).toBe("TCP");
  const added = asked.filter(({ action }) => action === "AddPortMapping");
  expect(added.map(({ body }) => valueOf(body, "NewInternalClient"))).toEqual([LOCAL, LOCAL, LOCAL]);
});

test("what a router refuses is not tried for ever, nor removed as its own", async () => {
  const { answers, asked } = await router((action) =>
    action === "GetExternalIPAddress" ? { xml: ADDRESS } : { status: 500, xml: fault(718) },
  );
  const [mapper] = await mappersOf(runtimeWith(answers));
  await expect(mapper?.map(4000, 1_200_000, never)).rejects.toMatchObject({ code: "link/failed" });
  await mapper?.unmap(never);
  expect(asked.map(({ action }) => action)).not.toContain("DeletePortMapping");
  expect(asked.length).toBeLessThan(7);
});

test.each([
  ["no address", "<NewExternalIPAddress></NewExternalIPAddress>"],
  ["words for an address", "<NewExternalIPAddress>router.example</NewExternalIPAddress>"],
  ["half an address", "<NewExternalIPAddress>203.0.113</NewExternalIPAddress>"],
  ["a number too large", "<NewExternalIPAddress>203.0.113.256</NewExternalIPAddress>"],
  ["nothing", ""],
])("a connection with %s is none", async (_, xml) => {
  const { answers } = await router(() => ({ xml }));
  expect(await mappersOf(runtimeWith(answers))).toEqual([]);
});

test("a description without an end, elsewhere or in tongues costs a bounded read and nothing else", async () => {
  const act = (): { readonly xml: string } => ({ xml: ADDRESS });
  const endless = await router(act, (response) => {
    const chunk = "<service>".repeat(8_192);
    response.on("drain", () => response.write(chunk)).write(chunk);
    response.write(chunk);
  });
  await expect(mappersOf(runtimeWith(endless.answers))).rejects.toBeInstanceOf(PeerloomError);
  const elsewhere = await router(act, (response) => void response.writeHead(302, { Location: "/x" }).end());
  await expect(mappersOf(runtimeWith(elsewhere.answers))).rejects.toMatchObject({ code: "link/failed" });
  const binary = await router(act, (response) => void response.end(Buffer.from([0xff, 0xfe, 0x00])));
  await expect(mappersOf(runtimeWith(binary.answers))).rejects.toMatchObject({ code: "link/failed" });
});

test.each([
  ["another machine's", "http://192.0.2.1/desc.xml"],
  ["a name's", "http://localhost/desc.xml"],
  ["TLS", "https://127.0.0.1/desc.xml"],
  ["a file's", "file:///etc/passwd"],
  ["no", ""],
])("a search answer with %s URL is none", (_, location) => {
  const [answer] = searchAnswers(location)(new Uint8Array(), { host: GATEWAY, port: 1900 });
  expect(decodeSearchAnswer(answer ?? new Uint8Array(), GATEWAY)).toBeUndefined();
});

test("a search answer must be one, whatever its bytes", () => {
  expect(decodeSearchAnswer(Uint8Array.of(0xff, 0xff), GATEWAY)).toBeUndefined();
  expect(decodeSearchAnswer(utf8("NOTIFY * HTTP/1.1\r\n\r\n"), GATEWAY)).toBeUndefined();
  expect(decodeSearchAnswer(new Uint8Array(), GATEWAY)).toBeUndefined();
});

test("of a description only connections at the gateway itself count, IP before PPP", () => {
  const location = new URL(`http://${GATEWAY}:5000/desc.xml`);
  expect(servicesOf(DESCRIPTION, location, GATEWAY).map(({ controlUrl }) => controlUrl.href)).toEqual([
    `http://${GATEWAY}:5000/ctl/IP`,
    `http://${GATEWAY}:5000/ctl/PPP`,
  ]);
  const elsewhere = serviceOf("WANIPConnection:1", "http://192.0.2.1/ctl");
  expect(servicesOf(elsewhere, location, GATEWAY)).toEqual([]);
  // Thousands of beginnings are read in one go.
  expect(servicesOf("<service><serviceType ".repeat(6_000), location, GATEWAY)).toEqual([]);
});
