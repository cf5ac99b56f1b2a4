/** What a link says of the way that ICE has found. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import type { Link } from "../../../peer/links/link.ts";
import { negotiateWebRtc } from "../../../peer/links/webrtc.ts";
import type { RtcPair } from "../../../peer/runtime.ts";
import { FakeRtcConnection } from "./fake-rtc-connection.ts";

const HOST = { type: "host", address: "192.168.1.2", port: 5000 };
const SEEN = { type: "srflx", address: "198.51.100.1", port: 6000 };
const TURNED = { type: "relay", address: "203.0.113.1", port: 7000 };

async function linkBy(pair: RtcPair | undefined): Promise<Link> {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const connection = new FakeRtcConnection(pair);
  const { link } = negotiateWebRtc({
    host: { open: () => connection },
    role: "offerer",
    iceServers: [],
    clock,
    signal: new AbortController().signal,
    send: () => {},
  });
  connection.onOpen();
  return link;
}

test("the other end is named, and its address counts as its own", async () => {
  expect(await linkBy({ local: HOST, remote: SEEN })).toMatchObject({
    description: "webrtc srflx 198.51.100.1:6000",
    remoteHost: "198.51.100.1",
    isTurned: false,
  });
});

test("a TURN server on either side is told", async () => {
  expect(await linkBy({ local: TURNED, remote: SEEN })).toMatchObject({ isTurned: true });
  expect(await linkBy({ local: HOST, remote: TURNED })).toMatchObject({ isTurned: true });
});

test("a host that tells nothing has a link all the same", async () => {
  expect(await linkBy(undefined)).toMatchObject({
    description: "webrtc",
    remoteHost: undefined,
    isTurned: false,
  });
});
