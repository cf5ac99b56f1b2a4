/**
 * A home's router that maps ports for its hosts: miniupnpd, which speaks UPnP-IGD, PCP and NAT-PMP, beside the laboratory's own rules in a
 * router's namespace.
 */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { LabProcess } from "./lab-process.ts";
import { command, type Namespace } from "./namespace.ts";

/** Outer addresses of such routers: miniupnpd serves none that are reserved, as all others of the laboratory are. */
export const MAPPED_NETWORK = "11.0.0.0/24";
const START_TIMEOUT_MS = 10_000;
/** miniupnpd's chains, which it fills, and the ports at which hosts inside ask it. */
const RULES = `
table inet filter {
  chain input {
    iifname "lan*" udp dport { 1900, 5351 } accept
    iifname "lan*" tcp dport 5000 accept
  }
}
table inet miniupnpd {
  chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -101; policy accept; jump prerouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting { type nat hook postrouting priority 101; policy accept; jump postrouting_miniupnpd; }
  chain postrouting_miniupnpd { }
}`;

/** Why there can be no such router here, or undefined when there can. */
export function whyNoGateway(): string | undefined {
  try {
    const version = command("miniupnpd", ["--version"]);
    return version.includes("nftables") ? undefined : "this miniupnpd is not the one for nftables";
  } catch {
    return "there is no miniupnpd (Debian's miniupnpd-nftables)";
  }
}

/** What a router of the laboratory does besides. */
export class Gateway {
  readonly #router: Namespace;

  private constructor(router: Namespace) {
    this.#router = router;
  }

  /**
   * @param only UPnP-IGD alone, as many routers have it
   * @param own takes the process
   */
  static async start(
    router: Namespace,
    { outer, folder, only }: { readonly outer: string; readonly folder: string; readonly only?: "upnp" },
    own: (child: LabProcess) => LabProcess,
  ): Promise<Gateway> {
    router.address("wan", `${outer}/32`);
    router.rules(RULES);
    const file = `${folder}/${router.name}`;
    const settings = {
      ext_ifname: "wan",
      ext_ip: outer,
      listening_ip: "lan0",
      http_port: 5000,
      enable_upnp: "yes",
      enable_natpmp: only === "upnp" ? "no" : "yes",
      ipv6_disable: "yes",
      secure_mode: "yes",
      upnp_table_name: "miniupnpd",
      upnp_nat_table_name: "miniupnpd",
      uuid: randomUUID(),
    };
    const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
    const allowed = ["allow 1024-65535 192.168.1.0/24 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535"];
    writeFileSync(`${file}.conf`, [...lines, ...allowed, ""].join("\n"));
    // It says what it does on standard error.
    const words = `exec miniupnpd -d -f '${file}.conf' -P '${file}.pid' 2>&1`;
    const server = own(new LabProcess("miniupnpd", router.spawn("sh", ["-c", words])));
    await server.line(/HTTP listening on port/, START_TIMEOUT_MS);
    return new Gateway(router);
  }

  /** Whether packets to that outer TCP port are sent on to somebody inside. */
  maps(port: number): boolean {
    const chain = ["list", "chain", "inet", "miniupnpd", "prerouting_miniupnpd"];
    const rules = command("ip", ["netns", "exec", this.#router.name, "nft", ...chain]);
    return rules.split("\n").some((rule) => rule.includes(`dport ${port} `) && rule.includes("dnat"));
  }
}
