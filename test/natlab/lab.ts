/**
 * The laboratory: a public segment with an edge (workerd) and STUN, and sites, each a host behind an access of some kind. One switch and
 * no delay, so times are those of a network next door, unless there is a line with delay, jitter and loss between each site and the segment.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Gateway, MAPPED_NETWORK } from "./gateway.ts";
import { ACCESS, type Access, HOST_FIREWALL, routerRules } from "./nat.ts";
import { command, isRunning, Namespace, sweep } from "./namespace.ts";
import { LabProcess } from "./lab-process.ts";
import { type Line, type LineOptions, openLine } from "./line.ts";

const CLI = fileURLToPath(new URL("../../peer/cli/main.ts", import.meta.url));
const SERVICES = fileURLToPath(new URL("./public-services.ts", import.meta.url));
const EDGE_PORT = 443;
/** Where the edge and STUN are, of each family; the second address of STUN is the next one. */
const PUBLIC = { ipv4: ["203.0.113.10", "203.0.113.11"], ipv6: ["2001:db8::10", "2001:db8::11"] } as const;
/** Of TURN, which coturn serves there. */
const TURN = { address: "203.0.113.12", port: 3478, secret: "laboratory" } as const;
/** A next hop that is nobody. */
const NOWHERE = { address: "203.0.113.254", mac: "02:00:00:00:00:01" } as const;
const TURN_START_TIMEOUT_MS = 10_000;
export const LISTEN_PORT = 4000;
/** As many places to plug a site in, each with a line of its own: the two of a pair are apart. */
const DISTANT_SEGMENTS = 2;
/** Of each laboratory's data, followed by its pid. */
const FOLDER = "peerloom-natlab-";

/** A host and how it is reached. */
export class Site {
  readonly host: Namespace;
  readonly #lab: Lab;
  readonly #access: Pick<Access, "ipv4" | "listens">;
  #peers = 0;

  constructor(lab: Lab, host: Namespace, access: Pick<Access, "ipv4" | "listens">) {
    this.#lab = lab;
    this.host = host;
    this.#access = access;
  }

  /** A command of peerloom on that host, against the laboratory's edge. */
  peerloom(words: readonly string[], environment: Readonly<Record<string, string>> = {}): LabProcess {
    const edge = words.includes("--edge") ? [] : ["--edge", this.edge];
    const data = join(this.#lab.folder, `${this.host.name}-${this.#peers++}`);
    const all = [...words, ...edge, "--data", data, "--no-lan", "--json"];
    if (this.#access.listens) all.push("--listen", `0.0.0.0:${LISTEN_PORT}`);
    const child = this.host.spawn(process.execPath, [CLI, ...all], { PEERLOOM_EDGE: "", ...environment });
    return this.#lab.own(new LabProcess(words.join(" "), child));
  }

  /** The edge as this host reaches it. */
  get edge(): string {
    return `http://${this.#access.ipv4 ? PUBLIC.ipv4[0] : `[${PUBLIC.ipv6[0]}]`}:${EDGE_PORT}`;
  }
}

export class Lab {
  readonly folder: string = mkdtempSync(join(tmpdir(), `${FOLDER}${process.pid}-`));
  readonly #public: Namespace;
  /** Where sites are plugged in, in turn: the public segment, or beyond lines to it. */
  #segments: readonly Namespace[];
  readonly #lines: Line[] = [];
  readonly #namespaces: Namespace[] = [];
  readonly #processes = new Set<LabProcess>();
  readonly #onExit = (): void => this.#removeAll();
  readonly #hasTurn: boolean;
  #sites = 0;

  private constructor(hasTurn: boolean) {
    this.#hasTurn = hasTurn;
    process.on("exit", this.#onExit);
    this.#public = new Namespace("public");
    this.#segments = [this.#public];
    this.#public.bridge("wan");
    for (const address of PUBLIC.ipv4) this.#public.address("wan", `${address}/24`);
    if (hasTurn) this.#public.address("wan", `${TURN.address}/24`);
    for (const address of PUBLIC.ipv6) this.#public.address("wan", `${address}/64`);
    this.#public.forward();
    // A TURN server tries its client's private addresses of others too. Without a route the kernel refuses that, and coturn ends the allocation.
    this.#public.ip("neighbour", "add", NOWHERE.address, "lladdr", NOWHERE.mac, "dev", "wan");
    this.#public.ip("route", "add", "default", "via", NOWHERE.address);
  }

  /**
   * Builds the public segment and waits until the edge answers there.
   * @param line between every site and the segment: two sites are twice as far apart
   */
  static async open({
    turn = false,
    line,
  }: { readonly turn?: boolean; readonly line?: LineOptions | undefined } = {}): Promise<Lab> {
    sweep();
    sweepFolders();
    const lab = new Lab(turn);
    try {
      if (line !== undefined) await lab.#moveAway(line);
      await lab.#startServices();
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** One host with an access of that kind. */
  site(name: keyof typeof ACCESS): Site {
    const access: Access = ACCESS[name];
    const number = this.#nextSite();
    const host = this.#namespace(`host${number}`);
    if (access.mapping === "none") this.#connectOpen(host, number, access);
    else {
      const router = this.#router(number, access);
      if (!access.carrier) this.#connectInside(host, router, number, access.ipv6);
      else {
        const home = this.#namespace(`home${number}`);
        home.forward();
        home.plug("wan", router, "lan0", { bridged: false });
        router.address("lan0", "100.64.0.1/24");
        home.address("wan", "100.64.0.2/24");
        home.ip("route", "add", "default", "via", "100.64.0.1");
        home.rules(routerRules(access, { address: "100.64.0.2" }));
        this.#connectInside(host, home, number, false);
      }
    }
    return new Site(this, host, access);
  }

  /** Two hosts on one switch behind one router. */
  sameLan(): [Site, Site] {
    const number = this.#nextSite();
    const router = this.#router(number, ACCESS["port-restricted"]);
    router.bridge("lan0");
    router.address("lan0", "192.168.1.1/24");
    return [2, 3].map((last) => {
      const host = this.#namespace(`host${number}-${last}`);
      host.plug("eth0", router, "lan0");
      host.address("eth0", `192.168.1.${last}/24`);
      host.ip("route", "add", "default", "via", "192.168.1.1");
      return new Site(this, host, { ipv4: true, listens: false });
    }) as [Site, Site];
  }

  /** Two hosts in networks apart behind one router, which meet only at its outer address, if it turns packets round. */
  behindOneRouter({ hairpin }: { readonly hairpin: boolean }): [Site, Site] {
    const number = this.#nextSite();
    const router = this.#router(number, ACCESS["full-cone"], hairpin);
    return [1, 2].map((network) => {
      const host = this.#namespace(`host${number}-${network}`);
      host.plug("eth0", router, `lan${network}`, { bridged: false });
      router.address(`lan${network}`, `192.168.${network}.1/24`);
      host.address("eth0", `192.168.${network}.2/24`);
      host.ip("route", "add", "default", "via", `192.168.${network}.1`);
      return new Site(this, host, { ipv4: true, listens: false });
    }) as [Site, Site];
  }

  /** A host that listens, behind a router that maps ports for it. @param only UPnP-IGD alone */
  async behindGateway(only?: "upnp"): Promise<{ readonly site: Site; readonly gateway: Gateway }> {
    const number = this.#nextSite();
    const router = this.#router(number, ACCESS["port-restricted"]);
    const host = this.#namespace(`host${number}`);
    this.#connectInside(host, router, number, false);
    const outer = `11.0.0.${20 + number}`;
    const where = { outer, folder: this.folder, ...(only === undefined ? {} : { only }) };
    const gateway = await Gateway.start(router, where, (child) => this.own(child));
    return { site: new Site(this, host, { ipv4: true, listens: true }), gateway };
  }

  /** Kept until it has ended, or the laboratory is closed. */
  own(child: LabProcess): LabProcess {
    this.#processes.add(child);
    void child.exit.finally(() => this.#processes.delete(child));
    return child;
  }

  /** Takes every site down again; the public segment stays. */
  removeSites(): void {
    for (const each of this.#namespaces.splice(0)) each.remove();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#processes].map((each) => each.stop()));
    this.#removeAll();
    process.off("exit", this.#onExit);
  }

  async #moveAway({ seed = 1, ...line }: LineOptions): Promise<void> {
    const segments: Namespace[] = [];
    this.#segments = segments;
    for (let i = 0; i < DISTANT_SEGMENTS; i++) {
      const segment = new Namespace(`segment${i}`);
      segments.push(segment);
      segment.bridge("wan");
      const far = { namespace: segment, device: "line" };
      const near = { namespace: this.#public, device: `line${i}` };
      this.#lines.push(await openLine(this.folder, [far, near], { ...line, seed: seed + i }));
      for (const { namespace, device } of [far, near]) namespace.ip("link", "set", device, "master", "wan");
    }
  }

  #segmentOf(number: number): Namespace {
    return this.#segments[number % this.#segments.length] ?? this.#public;
  }

  async #startServices(): Promise<void> {
    const words = [SERVICES, String(EDGE_PORT), [...PUBLIC.ipv4, ...PUBLIC.ipv6].join(",")];
    if (this.#hasTurn) {
      await this.#startTurn();
      words.push(`turn:${TURN.address}:${TURN.port}?transport=udp`, TURN.secret);
    }
    const services = this.own(new LabProcess("public services", this.#public.spawn(process.execPath, words)));
    await services.line("ready");
  }

  async #startTurn(): Promise<void> {
    const { address, port, secret } = TURN;
    const words = [
      "-n",
      "-L",
      address,
      "-p",
      String(port),
      "-E",
      address,
      "--realm=laboratory",
      "--use-auth-secret",
    ];
    words.push(
      `--static-auth-secret=${secret}`,
      "--no-cli",
      "--no-tls",
      "--no-dtls",
      "--log-file=stdout",
      "--simple-log",
      // Only a talkative one says that it listens.
      "-v",
    );
    words.push(`--pidfile=${join(this.folder, "turn.pid")}`, `--userdb=${join(this.folder, "turn.db")}`);
    const server = this.own(new LabProcess("coturn", this.#public.spawn("turnserver", words)));
    await server.line(/listener opened/i, TURN_START_TIMEOUT_MS);
  }

  /** A router with `wan` on the public segment. */
  #router(number: number, access: Access, hairpin = false): Namespace {
    const router = this.#namespace(`router${number}`);
    const address = `203.0.113.${20 + number}`;
    router.forward();
    router.plug("wan", this.#segmentOf(number), "wan");
    router.address("wan", `${address}/24`);
    router.ip("route", "add", MAPPED_NETWORK, "dev", "wan");
    if (access.ipv6) {
      router.address("wan", `2001:db8::${20 + number}/64`);
      router.ip("-6", "route", "add", "default", "via", PUBLIC.ipv6[0]);
      this.#public.ip("-6", "route", "add", `2001:db8:${number}::/64`, "via", `2001:db8::${20 + number}`);
    }
    router.rules(routerRules(access, { address, hairpin }));
    return router;
  }

  #connectInside(host: Namespace, router: Namespace, number: number, ipv6: boolean): void {
    host.plug("eth0", router, "lan0", { bridged: false });
    router.address("lan0", "192.168.1.1/24");
    host.address("eth0", "192.168.1.2/24");
    host.ip("route", "add", "default", "via", "192.168.1.1");
    if (!ipv6) return;
    router.address("lan0", `2001:db8:${number}::1/64`);
    host.address("eth0", `2001:db8:${number}::2/64`);
    host.ip("-6", "route", "add", "default", "via", `2001:db8:${number}::1`);
  }

  #connectOpen(host: Namespace, number: number, { ipv4, ipv6, filtering }: Access): void {
    host.plug("eth0", this.#segmentOf(number), "wan");
    if (ipv4) host.address("eth0", `203.0.113.${20 + number}/24`);
    if (ipv6) {
      host.address("eth0", `2001:db8::${20 + number}/64`);
      host.ip("-6", "route", "add", "default", "via", PUBLIC.ipv6[0]);
    }
    if (filtering !== "everybody") host.rules(HOST_FIREWALL);
  }

  /** Addresses are used again once all of them were; nobody keeps two hundred sites. */
  #nextSite(): number {
    this.#sites = (this.#sites % 200) + 1;
    return this.#sites;
  }

  #namespace(label: string): Namespace {
    const made = new Namespace(label);
    this.#namespaces.push(made);
    return made;
  }

  #removeAll(): void {
    this.removeSites();
    for (const line of this.#lines) line.close();
    for (const segment of new Set([...this.#segments, this.#public])) segment.remove();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Why there can be no TURN here, or undefined when there can. */
export function whyNoTurn(): string | undefined {
  try {
    command("turnserver", ["--version"]);
    return undefined;
  } catch {
    return "there is no turnserver (coturn)";
  }
}

/** Removes what killed runs have left behind. */
function sweepFolders(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(new RegExp(`^${FOLDER}(\\d+)-`).exec(name)?.[1]);
    if (pid > 0 && !isRunning(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}
