/**
 * The default gateway, which neither Node nor Deno tells: Linux has its routes in a file, other systems in what `netstat -rn` prints.
 * Where neither is to be had (Deno without the permissions), there is no gateway.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { promisify } from "node:util";
import type { Route } from "../../runtime-udp.ts";

const NETSTAT_TIMEOUT_MS = 3_000;
const NETSTAT_BYTES_MAX: number = 1024 * 1024;
/** RTF_GATEWAY of route(7). */
const HAS_GATEWAY = 0x2;

export async function defaultRoute(): Promise<Route | undefined> {
  const gateway = await defaultGateway().catch(() => undefined);
  const local = gateway === undefined ? undefined : localAddress(gateway, ownAddresses());
  return gateway === undefined || local === undefined ? undefined : { gateway, local };
}

async function defaultGateway(): Promise<string | undefined> {
  if (process.platform === "linux" || process.platform === "android")
    return gatewayOfProc(await readFile("/proc/net/route", "utf8"));
  const limits = { timeout: NETSTAT_TIMEOUT_MS, maxBuffer: NETSTAT_BYTES_MAX, windowsHide: true };
  const { stdout } = await promisify(execFile)("netstat", ["-rn"], limits);
  return gatewayOfNetstat(stdout);
}

/** From `/proc/net/route` (proc_net(5)): addresses in hexadecimal, the last octet first; of several the one with the least metric. */
export function gatewayOfProc(table: string): string | undefined {
  const [best] = table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, destination, gateway = "", flags = "", , , , mask]) =>
        destination === "00000000" &&
        mask === "00000000" &&
        /^[0-9A-F]{8}$/i.test(gateway) &&
        (Number.parseInt(flags, 16) & HAS_GATEWAY) !== 0,
    )
    .sort(([, , , , , , a], [, , , , , , b]) => Number(a) - Number(b));
  const gateway = best?.[2];
  return gateway === undefined ? undefined : Buffer.from(gateway, "hex").reverse().join(".");
}

/** From what macOS and the BSDs (`default 192.0.2.1 …`) or Windows (`0.0.0.0 0.0.0.0 192.0.2.1 …`) print; the first counts. */
export function gatewayOfNetstat(table: string): string | undefined {
  return /^[ \t]*(?:default|0\.0\.0\.0[ \t]+0\.0\.0\.0)[ \t]+(\d{1,3}(?:\.\d{1,3}){3})\b/m.exec(table)?.[1];
}

/** This machine's own address in the network of the gateway. */
export function localAddress(gateway: string, own: readonly OwnAddress[]): string | undefined {
  return own.find(({ address, netmask }) => {
    const mask = toNumber(netmask);
    return (toNumber(address) & mask) === (toNumber(gateway) & mask);
  })?.address;
}

export interface OwnAddress {
  readonly address: string;
  readonly netmask: string;
}

function ownAddresses(): OwnAddress[] {
  return Object.values(networkInterfaces()).flatMap((each) =>
    (each ?? []).filter(({ family, internal }) => family === "IPv4" && !internal),
  );
}

function toNumber(address: string): number {
  return address.split(".").reduce((number, octet) => (number << 8) | Number(octet), 0);
}
