/** A diagnosis against real edges and peers of this machine; the laboratory of natlab.test.ts has the networks that are broken. */
import { expect, onTestFinished, test } from "vitest";
import { loadNodeWebRtc } from "../../peer/adapters/node/webrtc.ts";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import { ALL_PARTS } from "../../peer/api/all-parts.ts";
import { diagnoseOn, type DiagnoseOptions } from "../../peer/api/diagnosis/diagnose.ts";
import { diagnose, networks, type PathAttempt } from "../../peer/node.ts";
import { temporaryFolder } from "./command.ts";
import { all, startStunServer } from "./diagnoses.ts";
import { codeOf, freePort, openEdge, openPeer, pathOf } from "./peers.ts";

async function stunServer(): Promise<string> {
  const { place, close } = await startStunServer();
  onTestFinished(close);
  return place;
}

const noLan = { lan: false } as const satisfies DiagnoseOptions;

test("a machine on which all is well", async () => {
  const { url } = await openEdge();
  const stun = [await stunServer(), await stunServer()];
  const { code, ok } = await all(diagnose({ ...noLan, edge: url, stun }));
  expect(ok).toMatchObject({ edge: true, websocket: true, clock: true, udp: true, nat: true, relay: true });
  expect(code).toBe("ok");
});

test("an edge that is not there, and a STUN server that is silent", async () => {
  const port = await freePort();
  const { code, ok } = await all(
    diagnose({ ...noLan, edge: `http://127.0.0.1:${port}`, stun: [`127.0.0.1:${port}`] }),
  );
  expect(ok).toMatchObject({ edge: false, udp: false });
  expect(code).toBe("edge-unreachable");
});

test("a clock that is an hour behind", async () => {
  const { url } = await openEdge();
  const runtime = nodeRuntime({ dataDir: undefined, webrtc: await loadNodeWebRtc() });
  const clock = { ...runtime.clock, nowMs: () => runtime.clock.nowMs() - 3_600_000 };
  const stun = [await stunServer()];
  const { code, ok } = await all(
    diagnoseOn({ runtime: { ...runtime, clock }, parts: ALL_PARTS }, { ...noLan, edge: url, stun }),
  );
  expect(ok).toMatchObject({ clock: false, udp: true });
  expect(code).toBe("clock-wrong");
});

test("one that is given up while the relay is tried ends at once, with nothing left behind", async () => {
  const { url } = await openEdge();
  const runtime = nodeRuntime({ dataDir: undefined, webrtc: await loadNodeWebRtc() });
  const stop = new AbortController();
  const connect: typeof runtime.websocket.connect = (address, ...rest) => {
    if (address.includes("/v1/relay/")) stop.abort();
    return runtime.websocket.connect(address, ...rest);
  };
  const websocket = { ...runtime.websocket, connect };
  const { signal } = stop;
  const stopped = all(
    diagnoseOn({ runtime: { ...runtime, websocket }, parts: ALL_PARTS }, { ...noLan, edge: url, signal }),
  );
  await expect(stopped).rejects.toMatchObject({ code: "aborted" });
});

test("one peer that is there, by all the ways that were tried, and gone", async () => {
  const { url } = await openEdge();
  const stun = [await stunServer()];
  const peer = await openPeer({ edge: url, network: "doctor", listen: "127.0.0.1:0" });
  const options = { ...noLan, edge: url, network: "doctor", stun, to: peer.id };
  const there = await all(diagnose(options));
  expect(there.ok).toMatchObject({ peer: true, "path: address": true });
  expect(there.code).toBe("ok");
  await peer.close();
  const gone = await all(diagnose(options));
  expect(gone.ok).toMatchObject({ peer: false });
  expect(gone.code).toBe("peer-gone");
});

test("one peer of a network by secret", async () => {
  const { url } = await openEdge();
  const network = { network: "doctor", secret: "correct horse battery staple", edge: url };
  const peer = await openPeer({ ...network, listen: "127.0.0.1:0" });
  const options = { ...noLan, ...network, stun: [await stunServer()], to: peer.id };
  expect((await all(diagnose(options))).code).toBe("ok");
  expect((await all(diagnose({ ...options, secret: "guess" }))).code).toBe("peer-gone");
  expect(await codeOf(all(diagnose({ ...options, invite: "no invite" })))).toBe("usage/invalid");
});

test("one peer of a network by invite: looked for by who is let in, and who is not is told so", async () => {
  const { url } = await openEdge();
  const [owner, invited] = [await temporaryFolder(), await temporaryFolder()];
  const network = await networks({ dataDir: owner }).create();
  const invite = (await networks({ dataDir: owner }).invite(network, { edge: url, uses: 1 })).url;
  const peer = await openPeer({ edge: url, network, dataDir: owner, listen: "127.0.0.1:0" });
  await (await openPeer({ invite, dataDir: invited })).close();
  const options = { ...noLan, edge: url, network, stun: [await stunServer()], to: peer.id };
  expect((await all(diagnose({ ...options, dataDir: invited }))).code).toBe("ok");
  // The invite is for one.
  expect((await all(diagnose({ ...options, networksDir: invited }))).code).toBe("network-refuses");
  expect((await all(diagnose(options))).code).toBe("network-refuses");
});

test("an edge of private networks only is well, and strangers are told no more of it", async () => {
  const { url } = await openEdge(0, { NETWORKS: "private" });
  const network = { network: "doctor", secret: "correct horse battery staple", edge: url };
  const peer = await openPeer({ ...network, listen: "127.0.0.1:0" });
  const options = { ...noLan, edge: url, stun: [await stunServer()] };
  const { code, ok } = await all(diagnose(options));
  expect(ok).toMatchObject({ edge: true, websocket: true, clock: null, relay: null });
  expect(code).toBe("ok");
  expect((await all(diagnose({ ...options, ...network, to: peer.id }))).code).toBe("ok");
  expect((await all(diagnose({ ...options, to: peer.id }))).code).toBe("network-refuses");
});

test("a peer without WebRTC is the cause, not the network", async () => {
  const { url } = await openEdge();
  const stun = [await stunServer()];
  const peer = await openPeer({ edge: url, network: "doctor", webrtc: false });
  const { code } = await all(diagnose({ ...noLan, edge: url, network: "doctor", stun, to: peer.id }));
  expect(code).toBe("no-answer");
});

test("what is asked wrongly is refused", async () => {
  expect(await codeOf(all(diagnose({ stun: ["host:99999"] })))).toBe("usage/invalid");
  expect(await codeOf(all(diagnose({ to: "nobody" })))).toBe("id/invalid");
});

test("a peer tells what it tries", async () => {
  const { url } = await openEdge();
  const [a, b] = [
    await openPeer({ edge: url, network: "tries" }),
    await openPeer({ edge: url, network: "tries", listen: "127.0.0.1:0" }),
  ];
  const attempts: PathAttempt[] = [];
  a.addEventListener("attempt", (event) => attempts.push((event as CustomEvent<PathAttempt>).detail));
  await pathOf(await a.connect(b.id), ({ transport }) => transport === "tcp");
  expect(attempts).toContainEqual({
    peerId: b.id,
    transport: "address",
    address: b.listenAddresses[0],
    error: undefined,
  });
});
