/** Peers that come and go leave nothing: the process ends by itself, and neither folder nor edge keeps more than it should. */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ROOT, temporaryFolder } from "./command.ts";
import { openEdge } from "./peers.ts";

/** Opens and closes peers, half of them with a session, and says what Node still holds at the end. */
const PROGRAM = `
  import { Peer } from ${JSON.stringify(new URL("../../peer/node.ts", import.meta.url).href)};
  const [edge, dataDir] = process.argv.slice(1);
  for (let round = 0; round < 50; round++) {
    const options = { edge, listen: "127.0.0.1:0", iceServers: [] };
    const peer = await Peer.open({ ...options, dataDir });
    if (round % 5 === 0) {
      const other = await Peer.open({ ...options, only: round % 2 === 0 ? "relay" : undefined });
      await peer.connect(other.id);
      await other.close();
    }
    await peer.close();
    await peer.close();
  }
  // What is closed takes a turn of the event loop to go.
  const held = () => process.getActiveResourcesInfo().filter((name) => /TCP|Pipe|FS|Timeout|Immediate/.test(name) && name !== "PipeWrap");
  for (let turn = 0; turn < 100 && held().length > 0; turn++) await new Promise((resolve) => setImmediate(resolve));
  console.log(JSON.stringify({ held: held() }));
`;

test("50 opens and closes against one edge in one process", async () => {
  const edge = await openEdge();
  const dataDir = join(await temporaryFolder(), "data");
  const temporary = await temporaryFolder();
  // Killed at the deadline when something keeps it alive, which fails the test.
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "-e", PROGRAM, edge.url, dataDir],
    { cwd: ROOT, env: { ...process.env, TMPDIR: temporary }, timeout: 60_000, killSignal: "SIGKILL" },
  );
  expect(stderr).toBe("");
  expect((JSON.parse(stdout) as { readonly held: string[] }).held).toEqual([]);
  // Whoever was linked directly, if only just, is remembered in the address book.
  const kept = (await readdir(dataDir)).filter((name) => !/^peers-[0-9a-f]{16}$/.test(name));
  expect(kept).toEqual(["identity-seed"]);
  expect(await readdir(temporary)).toEqual([]);
  const metrics = await (await fetch(`${edge.url}/metrics`)).text();
  expect(metrics).toMatch(/members(\{[^}]*\})? 0\b/);
});
