/** A page and a Node peer find each other's files: by the edge's index, and without it through each other. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { Peer, type SearchHit, type SearchVia } from "../../peer/node.ts";
import { type Chromium, findChromium, startChromium } from "./chromium.ts";

const executable = await findChromium();
if (executable === undefined) console.warn("Skipped: no Chromium on the PATH.");

/** What is said gets about in its own time. */
const KNOWN_TIMEOUT_MS = 20_000;

let edge: EmbeddedEdge;
let browser: Chromium;
let node: Peer;

beforeAll(async () => {
  if (executable === undefined) return;
  edge = await startEmbeddedEdge();
  browser = await startChromium(executable);
  node = await Peer.open({
    edge: edge.url,
    network: "finders",
    listen: "127.0.0.1:0",
    lan: false,
    iceServers: [],
  });
});

afterAll(async () => {
  await node?.close();
  await browser?.close();
  await edge?.stop();
});

async function findAtNode(via: SearchVia): Promise<SearchHit> {
  for (const deadline = Date.now() + KNOWN_TIMEOUT_MS; Date.now() < deadline;)
    for await (const hit of node.search("page picture", { via, timeoutMs: 3_000 })) return hit;
  throw new Error(`nothing by ${via}`);
}

test.skipIf(executable === undefined)("by index, dht and flood, and get what they found", async () => {
  const page = await browser.open(edge.url);
  await page.evaluate('import("/peer.js").then(({ Peer }) => { globalThis.PagePeer = Peer; })');
  await page.evaluate(
    async (options) => {
      const opened = await PagePeer.open(options);
      Object.assign(globalThis, { peer: opened });
      await opened.files.share(new File(["pixels"], "page picture.png"));
    },
    { edge: edge.url, network: "finders", identity: "fresh", iceServers: [] } as const,
  );
  await node.files.share(new Blob(["numbers"]), { name: "node table.csv" });
  expect(await findAtNode("index")).toMatchObject({ name: "page picture.png", bytes: 6, via: "index" });

  const findAtPage = (via: SearchVia): Promise<{ name: string; text: string; via: string }> =>
    page.evaluate(
      async ({ by, deadlineMs }) => {
        for (const end = Date.now() + deadlineMs; Date.now() < end;) {
          for await (const hit of peer.search("TABLE node", { via: by, timeoutMs: 3_000 })) {
            const blob = await peer.files.get(hit.ticket).blob();
            return { name: hit.name, text: await blob.text(), via: hit.via };
          }
        }
        throw new Error(`nothing by ${by}`);
      },
      { by: via, deadlineMs: KNOWN_TIMEOUT_MS },
    );
  for (const via of ["index", "dht", "flood"] as const)
    expect(await findAtPage(via)).toEqual({ name: "node table.csv", text: "numbers", via });
  await edge.stop();
  for (const via of ["dht", "flood"] as const) expect(await findAtNode(via)).toMatchObject({ bytes: 6, via });
});

/** The runtime and the peer that the page's own code holds. */
declare const PagePeer: typeof Peer;
declare const peer: Peer;
