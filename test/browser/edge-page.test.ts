/** The edge's own page: what it says of the edge and how little it asks, what it says where a peer cannot be, and that its policy is watched. */
import type { Page, Route } from "playwright-core";
import { expect } from "vitest";
import type { Browser } from "./browsers.ts";
import { browserTest, Stage } from "./stage.ts";

const PATIENCE = { timeout: 30_000 };
const stage = Stage.set();

/** A page whose `/health` is answered here. */
async function openAsking(
  answer: (route: Route) => Promise<void>,
  prepare: (page: Page) => Promise<unknown> = async () => {},
  browser: Browser = stage.browser,
): Promise<[Page, string[]]> {
  const asked: string[] = [];
  const page = await browser.open(stage.edge.url, async (made) => {
    await prepare(made);
    // Only the footer matters.
    await made.route("**/elements.js", (route) =>
      route.fulfill({ contentType: "text/javascript", body: "" }),
    );
    await made.route(/\/(health|metrics)$/, (route) => {
      asked.push(new URL(route.request().url()).pathname);
      return answer(route);
    });
  });
  return [page, asked];
}

function footer(page: Page, says: string): Promise<void> {
  return expect.poll(() => page.locator("#state").textContent(), PATIENCE).toContain(says);
}

function comeBackTo(page: Page): Promise<unknown> {
  return page.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`);
}

browserTest(
  "an edge that is well is asked once, and again when somebody comes back to the page",
  async () => {
    const [page, asked] = await openAsking(
      (route) => route.continue(),
      (made) => made.clock.install(),
      // The clock is that of all its pages.
      await stage.startBrowser(),
    );
    await footer(page, "this edge is well");
    await page.clock.runFor(600_000);
    expect(asked).toEqual(["/health"]);
    await comeBackTo(page);
    await expect.poll(() => asked, PATIENCE).toEqual(["/health", "/health"]);
    await page.close();
  },
);

browserTest("an edge that is not well, asked too often or gone is told apart", async () => {
  const parts = { rendezvous: "ok", relay: "late" };
  const answers: ((route: Route) => Promise<void>)[] = [
    (route) => route.fulfill({ status: 503, json: { ok: false, wireVersion: 3, parts } }),
    (route) => route.fulfill({ status: 429, json: { error: "edge/rate-limited" } }),
    (route) => route.abort(),
  ];
  const [page] = await openAsking((route) => (answers.shift() ?? ((other) => other.continue()))(route));
  await footer(page, "this edge is not well: relay late");
  await comeBackTo(page);
  await footer(page, "asked too often");
  await comeBackTo(page);
  await footer(page, "does not answer");
  await comeBackTo(page);
  await footer(page, "this edge is well");
  await page.close();
});

browserTest(
  "why the edge is lost is told in its own words, and that it is tried again where it is",
  async () => {
    const page = await stage.browser.open(stage.edge.url);
    const state = page.locator("peerloom-status [role=status]");
    await expect.poll(() => state.textContent(), PATIENCE).toContain("You are");
    const lose = (code: string, says: string): Promise<unknown> =>
      page.evaluate(`(async () => {
      const { PeerloomError } = await import("/peer.js");
      const peer = await document.querySelector("peerloom-status").peer();
      const error = new PeerloomError("${code}", "${says}");
      peer.dispatchEvent(new CustomEvent("edge", { detail: { connected: false, error } }));
    })()`);
    const told = (text: string): Promise<void> =>
      expect.poll(() => state.textContent(), PATIENCE).toContain(text);
    await lose("edge/over-budget", "The edge says: it opens at midnight.");
    await told(
      "Without the edge: The edge says: it opens at midnight. (edge/over-budget) It is tried again.",
    );
    await lose("edge/replaced", "The edge says: another has this identity.");
    await told("another has this identity. (edge/replaced)");
    expect(await state.textContent()).not.toContain("tried again");
    await lose("edge/unreachable", "The edge hung up.");
    await told("The edge does not answer now; it is tried again.");
    await footer(page, "this edge does not answer");
    await page.close();
  },
);

browserTest("a page by http from elsewhere says what to do, once", async () => {
  const page = await stage.browser.open("http://plain.example/", (made) =>
    made.route("http://plain.example/**", async (route) => {
      const { pathname } = new URL(route.request().url());
      const response = await route.fetch({ url: stage.edge.url + pathname });
      await route.fulfill({ response });
    }),
  );
  for (const name of ["status", "chat"]) {
    const state = page.locator(`peerloom-${name} [role=status]`);
    await expect
      .poll(() => state.textContent(), PATIENCE)
      .toContain("https or on localhost. (page/insecure)");
    expect(await state.textContent()).not.toContain("tried again");
  }
  await page.getByRole("button", { name: "Check connection" }).click();
  const alert = page.locator("peerloom-doctor [role=alert]");
  await expect.poll(() => alert.textContent(), PATIENCE).toContain("page/insecure");
  await page.close();
});

browserTest("a browser without Ed25519 is told which one has it", async () => {
  // One that has kept no identity yet.
  const browser = await stage.startBrowser();
  const page = await browser.open(stage.edge.url, (made) =>
    made.addInitScript(`crypto.subtle.importKey = () =>
      Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"))`),
  );
  const state = page.locator("peerloom-status [role=status]");
  await expect.poll(() => state.textContent(), PATIENCE).toContain("Chrome 137, Firefox 130, Safari 18");
  await page.close();
});

browserTest("what the policy forbids is seen by those who watch for it", async () => {
  const [page, complaints] = await stage.openWatched();
  await page.locator("peerloom-status").waitFor();
  expect(complaints).toEqual([]);
  await page.evaluate(`{
    const script = document.createElement("script");
    script.textContent = "0";
    document.body.append(script);
  }`);
  await expect.poll(() => complaints.join(), PATIENCE).toContain("Content Security Policy: script-src");
  await page.close();
});
