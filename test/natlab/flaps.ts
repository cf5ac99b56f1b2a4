/**
 * What happens to machines while a file is under way: their network goes away and comes back, the process stands still, the address
 * changes. The file must arrive all the same, byte for byte, without anybody starting anything again.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AccessName } from "./nat.ts";
import type { Lab, Site } from "./lab.ts";
import { type LabProcess, textOf } from "./lab-process.ts";

export interface Flap {
  readonly name: string;
  /** How both sides are connected. */
  readonly access: readonly [AccessName, AccessName];
  strike(getter: Site, get: LabProcess): Promise<void>;
}

export interface FlapOutcome {
  readonly flap: string;
  /** The copy has the original's hash. */
  readonly equal: boolean;
  readonly seconds: number | undefined;
  /** The longest time without new bytes, from the end of the trouble on. */
  readonly stalledMs: number;
  /** Path of the bytes, or why there is no copy. */
  readonly detail: string;
}

const FILE_BYTES: number = 96 * 1024 * 1024;
const FIRST_BYTES_TIMEOUT_MS = 40_000;
const DONE_TIMEOUT_MS = 150_000;

export function allFlaps({ lossMs = 30_000 }: { readonly lossMs?: number } = {}): Flap[] {
  const direct: Flap["access"] = ["port-restricted", "port-restricted"];
  const relayed: Flap["access"] = ["symmetric", "symmetric"];
  const cut: Flap["strike"] = async (getter) => {
    getter.host.cut(true);
    await sleep(lossMs);
    getter.host.cut(false);
  };
  const stop: Flap["strike"] = async (_, get) => {
    get.signal("SIGSTOP");
    await sleep(lossMs);
    get.signal("SIGCONT");
  };
  const move: Flap["strike"] = (getter) => {
    getter.host.ip("address", "flush", "dev", "eth0", "scope", "global");
    getter.host.address("eth0", "192.168.1.77/24");
    getter.host.ip("route", "add", "default", "via", "192.168.1.1");
    return Promise.resolve();
  };
  const seconds = lossMs / 1_000;
  return [
    { name: `${seconds} s without any network, direct`, access: direct, strike: cut },
    { name: `${seconds} s without any network, relayed`, access: relayed, strike: cut },
    { name: `a process that stands still for ${seconds} s`, access: direct, strike: stop },
    { name: "another address, direct", access: direct, strike: move },
    { name: "another address, relayed", access: relayed, strike: move },
  ];
}

export async function runFlap(lab: Lab, flap: Flap): Promise<FlapOutcome> {
  const [sharer, getter] = [lab.site(flap.access[0]), lab.site(flap.access[1])];
  const [original, copy] = [
    join(lab.folder, "original"),
    join(lab.folder, `copy-${randomBytes(4).toString("hex")}`),
  ];
  await writeFile(original, randomBytes(FILE_BYTES));
  const share = sharer.peerloom(["share", original, "--network", "lab"]);
  const ticket = String((await share.event("shared", FIRST_BYTES_TIMEOUT_MS))["ticket"]);
  const get = getter.peerloom(["get", ticket, "-o", copy]);
  const isUnderWay = await get.find(
    ({ event, bytes }) => event === "progress" && typeof bytes === "number" && bytes > 0,
    FIRST_BYTES_TIMEOUT_MS,
  );
  if (isUnderWay !== undefined) await flap.strike(getter, get);
  const strickenAtMs = performance.now();
  const done = await get.find(({ event }) => event === "done" || event === "error", DONE_TIMEOUT_MS);
  const equal = done?.event === "done" && (await sha256(copy)) === (await sha256(original));
  lab.removeSites();
  await Promise.all([get.exit, share.exit]);
  const seconds = done?.["seconds"];
  return {
    flap: flap.name,
    equal,
    stalledMs: longestGapMs(get, strickenAtMs),
    seconds: typeof seconds === "number" ? seconds : undefined,
    detail:
      done?.event === "done" ? JSON.stringify(done["by"]) : (textOf(done, "message") ?? "it never ended"),
  };
}

function longestGapMs(get: LabProcess, fromMs: number): number {
  const grown: number[] = [];
  let bytesBefore = 0;
  for (const { event, bytes, atMs } of get.events) {
    if (event !== "done" && (typeof bytes !== "number" || bytes <= bytesBefore)) continue;
    if (typeof bytes === "number") bytesBefore = bytes;
    if (atMs > fromMs) grown.push(atMs);
  }
  return Math.max(0, ...grown.map((atMs, i) => atMs - (grown[i - 1] ?? fromMs)));
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}
