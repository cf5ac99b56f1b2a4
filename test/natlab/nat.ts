/**
 * The kinds of access that a peer may have to the internet, as nft rules on its router, and what theory says of each: by mapping and
 * filtering behaviour (RFC 4787) and address family. Linux's own NAT maps endpoint-independently as long as ports
 * are free, and filters by address and port; wider filters are made of its maps, filled as packets leave.
 */

export type Mapping = "none" | "endpoint-independent" | "symmetric";
/** Whose packets come in: everybody's, those of an address that was sent to, of an address and port. */
export type Filtering = "everybody" | "address" | "address-and-port";

export interface Access {
  readonly mapping: Mapping;
  readonly filtering: Filtering;
  /** What the router lets out. */
  readonly out: "all" | "no-udp" | "tcp-443";
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** A second router outside of the first, the carrier's. */
  readonly carrier: boolean;
  /** Takes TCP on a port of its own. */
  readonly listens: boolean;
}

const OPEN: Access = {
  mapping: "none",
  filtering: "everybody",
  out: "all",
  ipv4: true,
  ipv6: false,
  carrier: false,
  listens: false,
};
const RESTRICTED: Access = { ...OPEN, mapping: "endpoint-independent", filtering: "address-and-port" };
const SYMMETRIC: Access = { ...RESTRICTED, mapping: "symmetric" };

/** By name, in the order of the table. */
export const ACCESS = {
  open: OPEN,
  listening: { ...OPEN, listens: true },
  firewalled: { ...OPEN, filtering: "address-and-port" },
  "full-cone": { ...RESTRICTED, filtering: "everybody" },
  "address-restricted": { ...RESTRICTED, filtering: "address" },
  "port-restricted": RESTRICTED,
  "carrier-grade": { ...RESTRICTED, carrier: true },
  symmetric: SYMMETRIC,
  "symmetric-ipv6": { ...SYMMETRIC, ipv6: true },
  "ipv6-only": { ...RESTRICTED, mapping: "none", ipv4: false, ipv6: true },
  "udp-blocked": { ...RESTRICTED, out: "no-udp" },
  "tcp-443-only": { ...RESTRICTED, out: "tcp-443" },
} as const satisfies Record<string, Access>;

export type AccessName = keyof typeof ACCESS;
export const ACCESS_NAMES = Object.keys(ACCESS) as readonly AccessName[];

/**
 * Rules of a router between `wan` and the devices `lan…`.
 * @param hairpin what is sent from inside to the router's own address comes in again
 */
export function routerRules(
  access: Pick<Access, "mapping" | "filtering" | "out">,
  { address, hairpin = false }: { readonly address: string; readonly hairpin?: boolean },
): string {
  return [filterTable(access.out), access.mapping === "none" ? "" : natTable(access, address, hairpin)].join(
    "\n",
  );
}

/** Only answers come in. What is dropped here leaves no conntrack entry behind that could take the port of a mapping. */
const INPUT_CHAIN = `
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    ct state established,related accept
    meta l4proto { icmp, icmpv6 } accept
  }`;

/** A host's own stateful firewall. */
export const HOST_FIREWALL = `table inet filter {${INPUT_CHAIN}\n}`;

function filterTable(out: Access["out"]): string {
  const forbidden = {
    all: "",
    "no-udp": 'iifname "lan*" meta l4proto udp drop',
    "tcp-443": 'iifname "lan*" tcp dport != 443 drop; iifname "lan*" meta l4proto udp drop',
  }[out];
  return `
table inet filter {${INPUT_CHAIN}
  chain forward {
    type filter hook forward priority 0; policy drop;
    ${forbidden}
    ct state established,related accept
    iifname "lan*" oifname "wan" accept
    meta l4proto icmpv6 accept
    ct status dnat accept
  }
}`;
}

function natTable(
  { mapping, filtering }: Pick<Access, "mapping" | "filtering">,
  address: string,
  hairpin: boolean,
): string {
  const random = mapping === "symmetric" ? " random,fully-random" : "";
  const from = hairpin ? `ip daddr ${address}` : 'iifname "wan"';
  const known = filtering === "address" ? "udp dport . ip saddr @contacted" : "meta l4proto udp";
  const inward = filtering === "address-and-port" ? "" : `${from} ${known} dnat ip to udp dport map @mapped`;
  return `
table ip nat {
  map mapped { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 120s; size 65535; }
  set contacted { type inet_service . ipv4_addr; flags dynamic,timeout; timeout 120s; size 65535; }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ${inward}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "wan" meta l4proto udp update @mapped { udp sport : ip saddr . udp sport } update @contacted { udp sport . ip daddr }
    oifname "wan" masquerade${random}
    ${hairpin ? `oifname "lan*" ct status dnat snat to ${address}` : ""}
  }
}`;
}
