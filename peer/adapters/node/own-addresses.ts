import { networkInterfaces } from "node:os";

/**
 * This machine's addresses by which other machines may reach it: neither loopback nor link-local.
 * @param interfaces as `networkInterfaces` of `node:os`
 * @throws where it may not be asked, as in Deno without `--allow-sys`
 */
export function ownAddresses(interfaces: typeof networkInterfaces = networkInterfaces): string[] {
  return Object.values(interfaces()).flatMap((each) =>
    (each ?? []).filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address),
  );
}
