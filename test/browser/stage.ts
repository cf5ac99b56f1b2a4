/**
 * What the tests of a file begin with: an edge, a browser, peers outside of it, and pages whose own code holds the runtime. The browser is
 * Chromium, or what PEERLOOM_TEST_BROWSER names.
 */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, test } from "vitest";
import { type EmbeddedEdge, type EmbeddedEdgeOptions, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { type NodePeerOptions, Peer } from "../../peer/node.ts";
import { type Browser, findOnPath } from "./browsers.ts";
import { CHROMIUM_NAMES, startChromium, startChromiumWithTabs } from "./chromium.ts";
import { FIREFOX_NAMES, startFirefox } from "./firefox.ts";

const inFirefox = process.env["PEERLOOM_TEST_BROWSER"] === "firefox";
const executable = await findOnPath(inFirefox ? FIREFOX_NAMES : CHROMIUM_NAMES);
if (executable === undefined) console.warn(`Skipped: no ${inFirefox ? "Firefox" : "Chromium"} on the PATH.`);

export const browserTest: ReturnType<typeof test.skipIf> = test.skipIf(executable === undefined);

/** What only Chromium lets a test do, by its DevTools protocol or at all. */
export const chromiumTest: ReturnType<typeof test.skipIf> = test.skipIf(
  executable === undefined || inFirefox,
);

/** There from before the first test of a file to after its last. */
export class Stage {
  /** A test may stop it, and put another in its place. */
  edge!: EmbeddedEdge;
  browser!: Browser;
  readonly #closes: (() => Promise<unknown>)[] = [];

  /** Starts both, then what the file adds. @param prepare is not called where there is no browser */
  static set(
    prepare: (stage: Stage) => Promise<void> = async () => {},
    options?: EmbeddedEdgeOptions,
  ): Stage {
    const stage = new Stage();
    beforeAll(async () => {
      if (executable === undefined) return;
      stage.edge = await startEmbeddedEdge(options);
      stage.#closes.push(() => stage.edge.stop());
      stage.browser = await stage.startBrowser();
      await prepare(stage);
    });
    afterAll(async () => {
      for (const close of stage.#closes.reverse()) await close();
    });
    return stage;
  }

  /** One more, with a profile of its own. */
  async startBrowser(): Promise<Browser> {
    const browser = await (inFirefox ? startFirefox : startChromium)(executable ?? "");
    this.#closes.push(() => browser.close());
    return browser;
  }

  /** A Chromium whose tabs hide each other. */
  async startBrowserWithTabs(): Promise<Browser> {
    const browser = await startChromiumWithTabs((await findOnPath(CHROMIUM_NAMES)) ?? "");
    this.#closes.push(() => browser.close());
    return browser;
  }

  /** In this process. Nobody of the machine's own network is met. */
  async openPeer(options: NodePeerOptions): Promise<Peer> {
    const peer = await Peer.open({ edge: this.edge.url, iceServers: [], lan: false, ...options });
    this.#closes.push(() => peer.close());
    return peer;
  }

  /** What a page's policy forbids and what its scripts let fall, from before its first byte on. @returns the page, and where that is written */
  async openWatched(path = "/", browser: Browser = this.browser): Promise<[Page, readonly string[]]> {
    const complaints: string[] = [];
    const page = await browser.open(this.edge.url + path, async (made) => {
      await made.exposeFunction("complain", (text: string) => complaints.push(text));
      // By the page's own events: what Playwright calls an error has remarks of Firefox among it, of sockets that were given up.
      await made.addInitScript(`addEventListener("error", ({ message }) => complain(message));
        addEventListener("unhandledrejection", ({ reason }) => complain(String(reason)));
        addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
        complain("Content Security Policy: " + violatedDirective + " " + blockedURI))`);
    });
    return [page, complaints];
  }

  /** The edge's page with the runtime's `Peer` beside it, as the global `PagePeer`. */
  async openPage(browser: Browser = this.browser): Promise<Page> {
    const page = await browser.open(this.edge.url);
    await this.importRuntime(page);
    return page;
  }

  /** The same in a page that is open, from wherever it came. */
  async importRuntime(page: Page): Promise<void> {
    // As text: the test runner rewrites an import() in code.
    await page.evaluate(
      `import("${this.edge.url}/peer.js").then(({ Peer }) => { globalThis.PagePeer = Peer; })`,
    );
  }
}
