/** What the tests of a file begin with: an edge, a Chromium, peers outside of it, and pages whose own code holds the runtime. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, test } from "vitest";
import { type EmbeddedEdge, type EmbeddedEdgeOptions, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { type NodePeerOptions, Peer } from "../../peer/node.ts";
import { type Chromium, findChromium, startChromium, startChromiumWithTabs } from "./chromium.ts";

const executable = await findChromium();
if (executable === undefined) console.warn("Skipped: no Chromium on the PATH.");

export const browserTest: ReturnType<typeof test.skipIf> = test.skipIf(executable === undefined);

/** There from before the first test of a file to after its last. */
export class Stage {
  /** A test may stop it, and put another in its place. */
  edge!: EmbeddedEdge;
  browser!: Chromium;
  readonly #closes: (() => Promise<unknown>)[] = [];

  /** Starts both, then what the file adds. @param prepare is not called where there is no Chromium */
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
  async startBrowser(): Promise<Chromium> {
    const browser = await startChromium(executable ?? "");
    this.#closes.push(() => browser.close());
    return browser;
  }

  /** One whose tabs hide each other. */
  async startBrowserWithTabs(): Promise<Chromium> {
    const browser = await startChromiumWithTabs(executable ?? "");
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
  async openWatched(path = "/", browser: Chromium = this.browser): Promise<[Page, readonly string[]]> {
    const complaints: string[] = [];
    const page = await browser.open(this.edge.url + path, async (made) => {
      made.on("pageerror", ({ message }) => complaints.push(message));
      await made.exposeFunction("complain", (text: string) => complaints.push(text));
      await made.addInitScript(`addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
        complain("Content Security Policy: " + violatedDirective + " " + blockedURI))`);
    });
    return [page, complaints];
  }

  /** The edge's page with the runtime's `Peer` beside it, as the global `PagePeer`. */
  async openPage(browser: Chromium = this.browser): Promise<Page> {
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
