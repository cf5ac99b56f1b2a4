/** A diagnosis in a page of a real browser: by the runtime's `diagnose`, and by a person's press of the button. */
import type { Page } from "playwright-core";
import { afterAll, expect, onTestFinished } from "vitest";
import { startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { type diagnose, type DiagnoseOptions, networks, type Peer } from "../../peer/node.ts";
import { temporaryFolder } from "../integration/command.ts";
import { all, startStunServer } from "../integration/diagnoses.ts";
import { browserTest, Stage } from "./stage.ts";

const PATIENCE = { timeout: 60_000 };
const PEER_FIELD = "Peer to look at the way to, if any";

const answering = [await startStunServer(), await startStunServer()] as const;
const shifting = await startStunServer((port) => (port === 65_535 ? 1_024 : port + 1));
const silent = await startStunServer(() => undefined);
afterAll(() => {
  for (const server of [...answering, shifting, silent]) server.close();
});

const STUN_URLS = answering.map(({ place }) => `stun:${place}`).join(" ");
const stage = Stage.set(undefined, { vars: { STUN_URLS } });

declare const PagePeer: typeof Peer;
declare const pageDiagnose: typeof diagnose;

/** What the page finds, by the runtime alone. */
async function diagnoseIn(
  page: Page,
  options: Pick<DiagnoseOptions, "edge" | "network" | "stun" | "to"> = {},
): ReturnType<typeof all> {
  await page.evaluate(`import("/peer.js").then(({ diagnose }) => { globalThis.pageDiagnose = diagnose; })`);
  const found = await page.evaluate(async (asked) => {
    const findings = [];
    for await (const finding of pageDiagnose(asked)) findings.push(finding);
    return findings;
  }, options);
  return all(found);
}

async function press(page: Page, to?: string): Promise<void> {
  if (to !== undefined) await page.getByRole("combobox", { name: PEER_FIELD }).fill(to);
  await page.getByRole("button", { name: "Check connection" }).click();
}

/** @returns the names of what was checked */
async function names(page: Page): Promise<string[]> {
  return page.locator("peerloom-doctor .name").allTextContents();
}

function verdict(page: Page, code: string): Promise<void> {
  return expect.poll(() => page.locator("peerloom-doctor .verdict code").textContent(), PATIENCE).toBe(code);
}

/** The page's elements are in that network. */
function entered(page: Page, network: string): Promise<void> {
  return expect.poll(() => page.locator("peerloom-doctor").getAttribute("network"), PATIENCE).toBe(network);
}

browserTest("a page on which all is well", async () => {
  const page = await stage.browser.open(stage.edge.url);
  const { code, ok } = await diagnoseIn(page);
  expect(ok).toMatchObject({ webrtc: true, edge: true, websocket: true, clock: true, udp: true, nat: true });
  expect(ok).toMatchObject({ relay: true, "port mapping": null });
  expect(code).toBe("ok");
  await page.close();
});

browserTest("a page of another origin looks at the edge that it names", async () => {
  const other = await startEmbeddedEdge();
  onTestFinished(() => other.stop());
  const page = await stage.browser.open(other.url);
  const { code, ok } = await diagnoseIn(page, { edge: stage.edge.url });
  expect(ok).toMatchObject({ edge: true, udp: true, relay: true });
  expect(code).toBe("ok");
  await page.close();
});

browserTest("STUN that is silent, and a port for each server", async () => {
  const page = await stage.browser.open(stage.edge.url);
  const blocked = await diagnoseIn(page, { stun: [silent.place] });
  expect(blocked.ok).toMatchObject({ udp: false, ipv6: null, nat: null });
  expect(blocked.code).toBe("udp-blocked");
  expect(blocked.advice).not.toContain("--");
  const symmetric = await diagnoseIn(page, { stun: [answering[0].place, shifting.place] });
  expect(symmetric.ok).toMatchObject({ udp: true, nat: false });
  expect(symmetric.code).toBe("symmetric-nat");
  const half = await diagnoseIn(page, { stun: [answering[0].place, silent.place] });
  expect(half.ok).toMatchObject({ udp: true, nat: null });
  expect(half.code).toBe("ok");
  await page.close();
});

browserTest("the way to one peer, to a page and to a terminal, by all that was tried", async () => {
  const page = await stage.openPage();
  const there = await stage.openPage(await stage.startBrowser());
  const id = await there.evaluate(async () => (await PagePeer.open({ network: "doctor" })).id);
  const toPage = await diagnoseIn(page, { network: "doctor", to: id });
  expect(toPage.ok).toMatchObject({ peer: true, "path: turn candidate": null });
  expect(Object.entries(toPage.ok)).toContainEqual([
    expect.stringMatching(/(host|reflexive) candidate$/),
    true,
  ]);
  expect(toPage.code).toBe("ok");
  const relaying = await stage.openPeer({ network: "doctor", webrtc: false });
  expect((await diagnoseIn(page, { network: "doctor", to: relaying.id })).code).toBe("no-answer");
  await relaying.close();
  expect((await diagnoseIn(page, { network: "doctor", to: relaying.id })).code).toBe("peer-gone");
  await Promise.all([page.close(), there.close()]);
});

browserTest("a person presses the button, stops it, presses it again, and reads what to do", async () => {
  const [page, complaints] = await stage.openWatched("/?network=pressed");
  const state = page.locator("peerloom-doctor .state");
  await press(page);
  await page.getByRole("button", { name: "Stop" }).click();
  expect(await state.textContent()).toBe("Stopped.");
  expect(await page.locator("peerloom-doctor .verdict code").count()).toBe(0);
  // While it looks a second one takes the place of the first.
  await press(page);
  await press(page);
  await verdict(page, "ok");
  const checked = await names(page);
  expect(checked).toEqual([
    "WebRTC",
    "edge",
    "WebSocket",
    "clock",
    "UDP",
    "IPv6",
    "NAT",
    "relay",
    "port mapping",
  ]);
  expect(await page.getByRole("button", { name: "Stop" }).isVisible()).toBe(false);

  await press(page, "nobody");
  await expect
    .poll(() => page.locator("peerloom-doctor [role=alert]").textContent(), PATIENCE)
    .toContain("id/invalid");
  await page.evaluate(`{
    const doctor = document.querySelector("peerloom-doctor");
    doctor.check();
    doctor.remove();
    document.body.append(doctor);
  }`);
  expect(await state.textContent()).toBe("Stopped.");
  expect(complaints).toEqual([]);
  await page.close();
});

browserTest(
  "a member of a private network looks at the way to another one, and no invite is spent",
  async () => {
    const { edge, browser } = stage;
    const dataDir = await temporaryFolder();
    const owned = networks({ dataDir });
    const network = await owned.create();
    const owner = await stage.openPeer({ dataDir, network });
    const page = await browser.open((await owned.invite(network, { edge: edge.url, uses: 1 })).url);
    await entered(page, network);
    await press(page, owner.id);
    await verdict(page, "ok");
    expect(await names(page)).toContain("peer");
    await page.close();

    const home = { network: "home", secret: "correct horse + battery" };
    const member = await stage.openPeer(home);
    const bySecret = await browser.open(`${edge.url}/#${new URLSearchParams(home)}`);
    await entered(bySecret, member.network);
    await press(bySecret, member.id);
    await verdict(bySecret, "ok");
    await bySecret.close();
  },
);

browserTest("an edge that is gone is named, by a page that it has served", async () => {
  const edge = await startEmbeddedEdge({ vars: { STUN_URLS } });
  const page = await stage.browser.open(edge.url);
  await page.evaluate(`import("/peer.js").then(({ preload }) => preload())`);
  await page.getByRole("button", { name: "Check connection" }).waitFor();
  await edge.stop();
  await press(page);
  await verdict(page, "edge-unreachable");
  await page.close();
});
