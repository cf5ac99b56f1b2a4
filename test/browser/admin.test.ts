/** The operator's page of an edge as its operator and a network's owner use it: with the right secrets, with wrong ones, and while the edge does not answer. */
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { type EdgeState, networks, type Peer } from "../../peer/node.ts";
import { temporaryFolder } from "../integration/command.ts";
import { codeOf, openEdge, openPeer } from "../integration/peers.ts";
import { browserTest, Stage } from "./stage.ts";

const PATIENCE = { timeout: 20_000 };
const TOKEN = "a+b/c=d&e";

/** Whatever the page's policy forbids, or its scripts let fall. */
const complaints: string[] = [];

const stage = Stage.set(undefined, { vars: { EDGE_ADMIN_TOKEN: TOKEN } });

async function openAdmin(secrets: Record<string, string> = {}, edge = stage.edge.url): Promise<Page> {
  const page = await stage.browser.open("about:blank");
  page.on("pageerror", ({ message }) => complaints.push(message));
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) complaints.push(message.text());
  });
  await page.goto(`${edge}/admin#${new URLSearchParams(secrets)}`);
  return page;
}

const trouble = (page: Page): Promise<string | null> => page.locator("#trouble").textContent();

async function says(page: Page, selector: string, words: string | RegExp): Promise<void> {
  await expect.poll(() => page.locator(selector).textContent(), PATIENCE).toMatch(words);
}

/** Has the page ask at once, as when its machine's network is back. */
const look = (page: Page): Promise<boolean> => page.evaluate(() => dispatchEvent(new Event("online")));

/** What the page has stored: in all it could store in. */
const stored = (page: Page): Promise<number[]> =>
  page.evaluate(async () => [
    localStorage.length,
    sessionStorage.length,
    (await indexedDB.databases()).length,
  ]);

/** How the edge lets a peer go. */
function putOut(peer: Peer): Promise<string | undefined> {
  return new Promise((resolve) => {
    peer.addEventListener("edge", (event) => {
      const { error } = (event as CustomEvent<EdgeState>).detail;
      if (error !== undefined) resolve(error.code);
    });
  });
}

browserTest("the link opens the day's account, and leaves nothing behind", async () => {
  await stage.openPeer({ network: "counted", webrtc: false });
  const page = await openAdmin({ token: TOKEN });
  await says(page, "#networks", "counted");
  await says(page, "#today", /\$0\.\d+of \$0\.1500 for todayopen/);
  await says(page, "#today", /Peers joined now\d/);
  await says(page, "#parts", "All 7 parts of this edge answer");
  expect(
    await page.getByRole("meter", { name: "Spent of the day's budget" }).getAttribute("aria-valuetext"),
  ).toMatch(/^[\d.]+ %$/);
  expect(page.url()).toBe(`${stage.edge.url}/admin`);
  expect(await stored(page)).toEqual([0, 0, 0]);
  expect(await page.content()).not.toContain(TOKEN);
  await page.reload();
  await page.getByLabel("Admin token").waitFor();
  expect(await page.locator("#today").isVisible()).toBe(false);
  expect(complaints).toEqual([]);
  await page.close();
});

browserTest(
  "a wrong token is said and asked for again; an edge that does not answer is asked again",
  async () => {
    const page = await openAdmin({ token: "guessed" });
    await expect.poll(() => trouble(page), PATIENCE).toContain("edge/not-admin");
    // By keys alone: the field has the focus.
    await page.keyboard.type(TOKEN);
    await page.keyboard.press("Enter");
    await says(page, "#state", "this edge is open");
    expect(await trouble(page)).toBe("");
    const list = page.getByRole("region", { name: "Networks by what they spent" });
    await list.focus();
    const asOf = await page.locator("#as-of").textContent();
    await expect
      .poll(async () => (await look(page), page.locator("#as-of").textContent()), PATIENCE)
      .not.toBe(asOf);
    expect(await list.evaluate((element) => element.matches(":focus"))).toBe(true);
    await page.route("**/v1/cost", (route) => route.abort());
    await look(page);
    await expect.poll(() => trouble(page), PATIENCE).toMatch(/edge\/unreachable.*asked again in/);
    // What was known stays, and is marked as old.
    await says(page, "#networks", "the edge itself");
    await expect.poll(() => page.locator(".account.stale").count()).toBe(2);
    await page.unroute("**/v1/cost");
    await look(page);
    await says(page, "#state", "this edge is open");
    expect(await page.locator(".stale").count()).toBe(0);
    expect(complaints).toEqual([]);
    await page.close();
  },
);

browserTest(
  "an owner sees who is there, invites, bans and takes back, by the key in the page's memory alone",
  async () => {
    const { edge } = stage;
    const dataDir = await temporaryFolder();
    const owned = networks({ dataDir });
    const network = await owned.create();
    const { url: invite, id: by } = await owned.invite(network, { edge: edge.url });
    const membersData = await temporaryFolder();
    const member = await openPeer({ invite, dataDir: membersData, webrtc: false });
    const page = await openAdmin();
    const key = page.getByLabel("Owner's key");
    await key.fill("peerloom:owner/AAAA");
    await key.press("Enter");
    await says(page, "#owner-error", "usage/invalid");
    await key.fill(await owned.ownerKey(network));
    await key.press("Enter");
    await says(page, "#owned", network);
    await says(page, "#owned", member.id.slice(0, 12));
    await says(page, "#owned", by.slice(0, 12));

    const out = putOut(member);
    await page.getByRole("button", { name: `Ban ${member.id.slice(0, 8)}` }).click();
    await page.keyboard.press("Escape"); // left as it is
    await page.getByRole("button", { name: `Ban ${member.id.slice(0, 8)}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Ban" }).click();
    expect(await out).toBe("network/banned");
    await says(page, "#owned [role=status]", "Done");
    expect((await owned.roster(network, edge.url)).banned).toEqual([member.id]);

    await page.getByRole("button", { name: `Take back ${member.id.slice(0, 8)}` }).click();
    await says(page, "#owned [role=status]", "Taken back");
    expect((await openPeer({ network, edge: edge.url, dataDir: membersData, webrtc: false })).id).toBe(
      member.id,
    );

    await page.getByLabel("For so many peers").fill("1");
    await page.getByRole("button", { name: "Make an invite" }).click();
    const made = await page.getByLabel("The invite's link").inputValue();
    await (await openPeer({ invite: made, webrtc: false })).close();
    expect(await codeOf(openPeer({ invite: made, webrtc: false }))).toBe("network/invite-used");

    await page.getByRole("button", { name: "Put the key away" }).click();
    await key.waitFor();
    expect(await stored(page)).toEqual([0, 0, 0]);
    const shown = await page.content();
    for (const secret of ["peerloom:owner/", network, made]) expect(shown).not.toContain(secret);
    expect(complaints).toEqual([]);
    await page.close();
  },
);

browserTest("a day that is spent is told, and a ban that nobody took is no ban", async () => {
  const edge = await openEdge(0, { EDGE_ADMIN_TOKEN: TOKEN, BUDGET_UNITS: "17" });
  const owned = networks({ dataDir: await temporaryFolder() });
  const network = await owned.create();
  const { id } = await owned.invite(network);
  const page = await openAdmin({ token: TOKEN, owner: await owned.ownerKey(network) }, edge.url);
  // Its first answer may have been the last that it could pay for.
  await says(page, "#state", "this edge");
  await look(page);
  await says(page, "#state", "this edge: closed");
  await says(page, "#today", "budget is spent");
  const field = page.getByLabel("Id", { exact: true });
  await field.fill(id);
  await field.press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Ban" }).click();
  await says(page, "#owned [role=alert] >> nth=0", "Not done. The edge says: This edge has spent");
  // Who is there is not told either, until the day is over.
  await says(page, "#owned [role=alert] >> nth=1", "This edge has spent");
  expect(await codeOf(owned.roster(network, edge.url))).toBe("edge/over-budget");
  await page.close();
});
