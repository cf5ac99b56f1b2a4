/** The edge's page in private networks, as people come there: by an invite's link, by one that is no longer good, by a secret. */
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { networks, Peer } from "../../peer/node.ts";
import { temporaryFolder } from "../integration/command.ts";
import { linkedTo, openPeer } from "../integration/peers.ts";
import { browserTest, Stage } from "./stage.ts";

const PATIENCE = { timeout: 30_000 };

const stage = Stage.set();

/** What the page says of the network that it is in. */
async function says(page: Page, words: string): Promise<void> {
  await expect.poll(() => page.locator("#membership").textContent(), PATIENCE).toContain(words);
}

/** What somebody says in the room reaches a peer of the same network. */
async function heard(page: Page, by: Peer): Promise<void> {
  const topic = by.topic("lounge");
  const next = topic[Symbol.asyncIterator]().next();
  await page.getByRole("textbox", { name: "Message" }).fill("hello");
  await expect
    .poll(() => page.locator("peerloom-chat [role=status]").textContent(), PATIENCE)
    .toContain("1 neighbour");
  await page.getByRole("button", { name: "Send" }).click();
  expect((await next).value).toMatchObject({ value: "hello" });
  await topic.close();
}

browserTest(
  "an invite's link lets the page in for good; one that is spent, ended or cut short is said, and costs no membership",
  async () => {
    const { edge, browser } = stage;
    const dataDir = await temporaryFolder();
    const owned = networks({ dataDir });
    const network = await owned.create();
    const once = await owned.invite(network, { edge: edge.url, uses: 1 });
    const owner = await openPeer({ edge: edge.url, dataDir, network });

    const page = await browser.open(once.url);
    await says(page, "come back without the invite");
    expect(page.url()).toBe(`${edge.url}/?network=${network}`);
    await linkedTo(owner, 1);
    await heard(page, owner);

    // A second one, of no use any more, opened where the first one is kept.
    const spent = await owned.invite(network, { edge: edge.url, uses: 1 });
    await (await Peer.open({ invite: spent.url, webrtc: false, lan: false })).close();
    await page.goto(spent.url);
    await says(page, "network/invite-used");
    await says(page, "Ask for another.");
    expect(page.url()).toBe(`${edge.url}/`);
    await page.goto(`${edge.url}/?network=${network}`);
    await says(page, "come back without the invite");

    const ended = await owned.invite(network, { edge: edge.url, ttlMs: 1 });
    await page.goto(ended.url);
    await says(page, "network/expired");
    // In a page that is open already, and cut short.
    await page.goto(once.url.slice(0, -60));
    await says(page, "Copy all of it. (network/invite-invalid)");
    await page.getByRole("button", { name: "Close" }).click();
    await expect
      .poll(() => page.locator("peerloom-status [role=status]").textContent(), PATIENCE)
      .toContain('in network "main"');
    const open = await openPeer({ edge: edge.url });
    await heard(page, open);
    await page.close();
  },
);

browserTest(
  "a secret in the link's fragment opens its network, through a reload too, and nobody else is led there",
  async () => {
    const { edge, browser } = stage;
    const home = { edge: edge.url, network: "home", secret: "correct horse + battery" };
    const member = await openPeer(home);
    const fields = new URLSearchParams({ network: home.network, secret: home.secret });
    const page = await browser.open(`${edge.url}/#${fields}`);
    await says(page, "by its secret");
    expect(page.url()).toBe(`${edge.url}/?network=${member.network}`);
    await page.reload();
    await says(page, "by its secret");
    await linkedTo(member, 1);
    await heard(page, member);
    const stranger = await browser.open(page.url());
    await says(stranger, "its members share a secret");
    await stranger.close();
    await page.close();
  },
);
