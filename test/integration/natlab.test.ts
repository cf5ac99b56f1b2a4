/** Pairs of real peers behind real NATs, in network namespaces: a few of the matrix (`npm run natlab` runs all), and what a diagnosis says of broken networks. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { BROKEN_CELLS, diagnoseCell } from "../natlab/broken.ts";
import { allFlaps, runFlap } from "../natlab/flaps.ts";
import { whyNoGateway } from "../natlab/gateway.ts";
import { Lab, LISTEN_PORT, whyNoTurn } from "../natlab/lab.ts";
import { whyNoLine } from "../natlab/line.ts";
import { cellsNamed, runCell, SHORT_CELLS } from "../natlab/matrix.ts";
import { whyImpossible } from "../natlab/namespace.ts";

const impossible = whyImpossible();
if (impossible !== undefined) console.warn(`The NAT laboratory is skipped: ${impossible}.`);

const noGateway = impossible ?? whyNoGateway();
if (noGateway !== undefined) console.warn(`Port mapping in the NAT laboratory is skipped: ${noGateway}.`);

describe.skipIf(impossible !== undefined)("in the NAT laboratory", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.open();
  });
  afterAll(() => lab.close());

  test.each(SHORT_CELLS)("%s connects as theory says", async (name) => {
    const [cell] = cellsNamed([name]);
    if (cell === undefined) throw new Error("no such cell");
    const { connected, path, why } = await runCell(lab, cell);
    expect({ connected, path, why }).toEqual({ connected: true, ...cell.expected });
  });

  test.each(["symmetric", "udp-blocked"] as const)(
    "two that NATs of one kind keep apart, %s, meet in a topic over the relay",
    async (nat) => {
      const at = ["news", "--network", nat];
      const sub = lab.site(nat).peerloom(["sub", ...at, "--count", "1"]);
      await sub.event("subscribed");
      const pub = lab.site(nat).peerloom(["pub", ...at, "hello"]);
      expect(await sub.event("message")).toMatchObject({ value: "hello" });
      expect(await pub.event("published")).toMatchObject({ peers: 1 });
      expect([await pub.exit, await sub.exit]).toEqual([0, 0]);
      lab.removeSites();
    },
  );

  test("a transfer outlives five seconds without any network, and is whole", async () => {
    const [cut] = allFlaps({ lossMs: 5_000 });
    if (cut === undefined) throw new Error("no such flap");
    expect(await runFlap(lab, cut)).toMatchObject({ equal: true });
  });

  describe.skipIf(noGateway !== undefined)("with a router that maps ports", () => {
    test("a peer is dialled from behind a symmetric NAT, and nothing is left of it", async () => {
      const { site, gateway } = await lab.behindGateway();
      const up = site.peerloom(["up", "--network", "lab", "--map-ports"]);
      const id = String((await up.event("ready"))["id"]);
      expect(await up.event("mapping")).toMatchObject({ phase: "mapped", protocol: "PCP" });
      expect(gateway.maps(LISTEN_PORT)).toBe(true);
      const words = ["ping", id, "--network", "lab", "--only", "direct", "--count", "1"];
      const ping = lab.site("symmetric").peerloom(words);
      expect(await ping.event("pong")).toMatchObject({ path: "direct", transport: "tcp" });
      expect(await up.stop()).toBe(0);
      expect(gateway.maps(LISTEN_PORT)).toBe(false);
      lab.removeSites();
    });

    test("one of UPnP alone does it too, and doctor says so", async () => {
      const { site, gateway } = await lab.behindGateway("upnp");
      const up = site.peerloom(["up", "--network", "lab", "--map-ports"]);
      const doctor = site.peerloom(["doctor"]);
      expect(await up.event("mapping")).toMatchObject({ phase: "mapped", protocol: "UPnP-IGD" });
      expect(gateway.maps(LISTEN_PORT)).toBe(true);
      expect(await up.stop()).toBe(0);
      expect(gateway.maps(LISTEN_PORT)).toBe(false);
      const check = await doctor.find(({ name }) => name === "port mapping", 30_000);
      expect(check).toMatchObject({ ok: true, detail: expect.stringContaining("speaks UPnP-IGD") as string });
      lab.removeSites();
    });
  });

  test.each(BROKEN_CELLS)("doctor --to names the cause: $name", async (cell) => {
    expect(await diagnoseCell(lab, cell)).toMatchObject({ verdict: cell.cause, ok: true });
  });
});

const noTurn = impossible ?? whyNoTurn();
if (noTurn !== undefined) console.warn(`TURN in the NAT laboratory is skipped: ${noTurn}.`);

test.skipIf(noTurn !== undefined)("two symmetric NATs meet by TURN", async () => {
  const lab = await Lab.open({ turn: true });
  onTestFinished(() => lab.close());
  const [cell] = cellsNamed(["symmetric/symmetric"], { turn: true });
  if (cell === undefined) throw new Error("no such cell");
  expect(await runCell(lab, cell)).toMatchObject({ ok: true, transport: "webrtc", why: "turn" });
});

const noLine = impossible ?? whyNoLine();
if (noLine !== undefined) console.warn(`Distance in the NAT laboratory is skipped: ${noLine}.`);

test.skipIf(noLine !== undefined)(
  "two NATs with 100 ms, jitter and loss between them meet directly",
  async () => {
    const lab = await Lab.open({ line: { delayMs: 25, jitterMs: 5, loss: 0.01 } });
    onTestFinished(() => lab.close());
    const [cell] = cellsNamed(["port-restricted/port-restricted"]);
    if (cell === undefined) throw new Error("no such cell");
    expect(await runCell(lab, cell)).toMatchObject({ ok: true, path: "direct", transport: "webrtc" });
  },
);
