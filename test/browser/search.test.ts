/** A page and a Node peer find each other's files: by the edge's index, and without it through each other. */
import { expect } from "vitest";
import type { Peer, SearchHit, SearchVia } from "../../peer/node.ts";
import { browserTest, Stage } from "./stage.ts";

/** What is said gets about in its own time. */
const KNOWN_TIMEOUT_MS = 20_000;

let node: Peer;
const stage = Stage.set(async () => {
  node = await stage.openPeer({ network: "finders", listen: "127.0.0.1:0" });
});

async function findAtNode(via: SearchVia): Promise<SearchHit> {
  for (const deadline = Date.now() + KNOWN_TIMEOUT_MS; Date.now() < deadline;)
    for await (const hit of node.search("page picture", { via, timeoutMs: 3_000 })) return hit;
  throw new Error(`nothing by ${via}`);
}

browserTest("by index, dht and flood, and get what they found", async () => {
  const page = await stage.openPage();
  await page.evaluate(
    async (options) => {
      const opened = await PagePeer.open(options);
      Object.assign(globalThis, { peer: opened });
      await opened.files.share(new File(["pixels"], "page picture.png"));
    },
    { edge: stage.edge.url, network: "finders", identity: "fresh", iceServers: [] } as const,
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
  await stage.edge.stop();
  for (const via of ["dht", "flood"] as const) expect(await findAtNode(via)).toMatchObject({ bytes: 6, via });
});

/** The runtime and the peer that the page's own code holds. */
declare const PagePeer: typeof Peer;
declare const peer: Peer;
