/**
 * A page imports the browser runtime from the edge and exchanges data with a Node peer: over the relay, over
 * WebRTC, 100 MB each way, with a reader that stops.
 */
import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { Peer, Session } from "../../peer/node.ts";
import { browserTest, Stage } from "./stage.ts";

const TRANSFER_BYTES = 100_000_000;
const PIECE_BYTES = 65_536;
/** What a stream, its session and the link may hold for a reader that does not read. */
const HELD_BYTES_MAX = 8 * 1024 * 1024;
/** A page that held what it sends or gets would hold 100 MB. */
const LIVE_BYTES_MAX = 48 * 1024 * 1024;
/** Ten looks each way, as many as there is time for. */
const LOOK_EVERY_BYTES = TRANSFER_BYTES / 10;

let node: Peer;
let accepted = 0;
/** Called with what the Node peer has read or written. */
let onPassed: (bytes: number) => void = () => {};

const stage = Stage.set(async () => {
  node = await stage.openPeer({ network: "page" });
  node.handle("sink/1", async (stream) => {
    let bytes = 0;
    let wrong = 0;
    for await (const chunk of stream.readable) {
      for (let i = 0; i < chunk.length; i++) if (chunk[i] !== ((bytes + i) * 31) % 251) wrong += 1;
      bytes += chunk.length;
      onPassed(chunk.length);
    }
    const writer = stream.writable.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify({ bytes, wrong })));
    await writer.close();
  });
  node.handle("source/1", async (stream) => {
    const writer = stream.writable.getWriter();
    accepted = 0;
    for (let offset = 0; offset < TRANSFER_BYTES; offset += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, TRANSFER_BYTES - offset));
      for (let i = 0; i < piece.length; i++) piece[i] = ((offset + i) * 31) % 251;
      await writer.write(piece);
      accepted += piece.length;
      onPassed(piece.length);
    }
    await writer.close();
  });
});

async function openPage(only: "relay" | "direct" | undefined): Promise<Page> {
  const page = await stage.openPage();
  await page.evaluate(
    async ({ id, options }) => {
      const opened = await PagePeer.open(options);
      Object.assign(globalThis, { peer: opened, session: await opened.connect(id) });
    },
    { id: node.id, options: { network: "page", identity: "fresh", iceServers: [], ...(only && { only }) } },
  );
  return page;
}

/** Looks at what the page holds whenever so much more has passed: a look collects garbage, so looks without a pause work against the transfer. */
function watchMemory(page: Page): { peakBytes: number; samples: number; stop(): Promise<void> } {
  let sinceLook = 0;
  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    watch.peakBytes = Math.max(watch.peakBytes, (await stage.browser.liveBytes(page)) ?? 0);
    watch.samples += 1;
    looking = undefined;
  };
  const watch = {
    peakBytes: 0,
    samples: 0,
    stop: async (): Promise<void> => {
      onPassed = () => {};
      await looking;
    },
  };
  onPassed = (bytes) => {
    sinceLook += bytes;
    if (sinceLook < LOOK_EVERY_BYTES || looking !== undefined) return;
    sinceLook = 0;
    looking = look();
  };
  return watch;
}

declare const PagePeer: typeof Peer;
declare const session: Session;
declare const peer: { close(): Promise<void> };

browserTest.for(["relay", "direct"] as const)(
  "100 MB go each way between a page and a Node peer, %s only, in flat memory",
  async (only) => {
    const page = await openPage(only);
    const memory = watchMemory(page);
    try {
      const up = await page.evaluate(
        async ({ total, pieceBytes }) => {
          const stream = await session.open("sink/1", { priority: "bulk" });
          const writer = stream.writable.getWriter();
          for (let offset = 0; offset < total; offset += pieceBytes) {
            const piece = new Uint8Array(Math.min(pieceBytes, total - offset));
            for (let i = 0; i < piece.length; i++) piece[i] = ((offset + i) * 31) % 251;
            await writer.write(piece);
          }
          await writer.close();
          return new Response(stream.readable).json() as Promise<unknown>;
        },
        { total: TRANSFER_BYTES, pieceBytes: PIECE_BYTES },
      );
      expect(up).toEqual({ bytes: TRANSFER_BYTES, wrong: 0 });
      const down = await page.evaluate(async () => {
        const stream = await session.open("source/1", { priority: "bulk" });
        let bytes = 0;
        let wrong = 0;
        const reader = stream.readable.getReader();
        for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
          for (let i = 0; i < (value?.length ?? 0); i++)
            if (value?.[i] !== ((bytes + i) * 31) % 251) wrong += 1;
          bytes += value?.length ?? 0;
        }
        return { bytes, wrong, path: session.path.kind };
      });
      expect(down).toEqual({ bytes: TRANSFER_BYTES, wrong: 0, path: only });
    } finally {
      await memory.stop();
    }
    console.log(
      memory.peakBytes === 0
        ? "what it held is not told by this browser"
        : `the page held ${Math.round(memory.peakBytes / 1e6)} MB at most (${only}, ${memory.samples} looks)`,
    );
    expect(memory.samples).toBeGreaterThan(2);
    expect(memory.peakBytes).toBeLessThan(LIVE_BYTES_MAX);
    await page.evaluate(() => peer.close());
    await page.close();
  },
);

browserTest("a page that stops reading stops the writer", async () => {
  const page = await openPage(undefined);
  await page.evaluate(async () => {
    const stream = await session.open("source/1");
    const reader = stream.readable.getReader();
    await reader.read();
    Object.assign(globalThis, { reader });
  });
  // The writer comes to rest: it has taken nothing more in many turns of the ping.
  let last = -1;
  while (last !== accepted) {
    last = accepted;
    await page.evaluate(async () => {
      const echo = await session.open("ping/1", { priority: "interactive" });
      const writer = echo.writable.getWriter();
      const reader = echo.readable.getReader();
      for (let i = 0; i < 50; i++) {
        await writer.write(new Uint8Array(8));
        await reader.read();
      }
      await writer.close();
    });
  }
  expect(accepted).toBeLessThan(HELD_BYTES_MAX);
  await page.evaluate(() => peer.close());
  await page.close();
});

browserTest("a page's session begins on the relay and moves to WebRTC", async () => {
  const page = await openPage(undefined);
  const path = await page.evaluate(
    () =>
      new Promise<string>((resolve) => {
        const look = (): void => {
          if (session.path.kind === "direct") resolve(session.path.transport);
        };
        session.addEventListener("path", look);
        look();
      }),
  );
  expect(path).toBe("webrtc");
  await page.evaluate(() => peer.close());
  await page.close();
});
