/**
 * Multicast DNS on the machine's IPv4 interfaces: one socket on port 5353, shared with the system's own responder. It
 * puts service notices into DNS records and takes them out again; packages know the format, this file the service
 * and its limits. IPv6 addresses travel inside notices, but nothing is multicast over IPv6.
 */
import { createSocket, type Socket } from "node:dgram";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import multicastDns from "multicast-dns";
import { PeerloomError } from "../../../shared/errors.ts";
import type { LanEvents, LanHost, LanNotice, LanReach, LanSocket } from "../../runtime.ts";

export interface NodeLanOptions {
  /** @default 5353 */
  readonly port?: number;
  /** IPv4 addresses of the interfaces to speak on. @default the machine's that `reach` allows */
  readonly interfaces?: (reach: LanReach) => readonly string[];
}

const GROUP = "224.0.0.251";
const PORT = 5_353;
const SERVICE = "_peerloom._tcp.local";
/** RFC 6762 §17. */
const PACKET_BYTES_MAX = 9_000;
/** Names in a packet may point at each other, so decoding is paid by the record; our own have about a dozen. */
const RECORDS_MAX = 64;
const TEXTS_MAX = 16;
const TEXT_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
/** Packets about our service: a bucket of this many, refilled at the rate below; past that they are dropped unread. */
const PACKETS_BURST = 100;
const PACKETS_PER_SECOND = 50;
/** Interfaces spoken on; past that the rest stays silent. */
const INTERFACES_MAX = 16;
/** How soon a new interface is noticed; multicast-dns looks as often. */
const INTERFACES_EVERY_MS = 5_000;
/** Messages not yet given to the system; past that new ones are dropped. */
const WAITING_MAX = 16;
/** A farewell has left by then, or never does. */
const CLOSE_TIMEOUT_MS = 1_000;
/** RFC 6762 §10: records with a host's name or address are good for two minutes. */
const HOST_TTL_SECONDS = 120;

type Questions = NonNullable<multicastDns.QueryPacket["questions"]>;
type Answers = NonNullable<multicastDns.ResponsePacket["answers"]>;

export function nodeLan({ port = PORT, interfaces = machineInterfaces }: NodeLanOptions = {}): LanHost {
  return {
    async open({ reach, ...events }) {
      const socket = createSocket({ type: "udp4", reuseAddr: true });
      try {
        await bind(socket, port);
        socket.setMulticastTTL(255);
        socket.setMulticastLoopback(true);
        return new MulticastSocket(socket, port, events, () => interfaces(reach));
      } catch (cause) {
        socket.close();
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new PeerloomError("link/unavailable", `No multicast DNS here: ${message}.`, { cause });
      }
    },
  };
}

class MulticastSocket implements LanSocket {
  readonly #socket: Socket;
  readonly #port: number;
  readonly #mdns: multicastDns.MulticastDNS;
  readonly #events: LanEvents;
  readonly #interfaces: () => readonly string[];
  readonly #joined = new Set<string>();
  readonly #looking: NodeJS.Timeout;
  #sending: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closed: Promise<void> | undefined;

  /** @throws Error when no interface takes part */
  constructor(socket: Socket, port: number, events: LanEvents, interfaces: () => readonly string[]) {
    this.#socket = socket;
    this.#port = port;
    this.#events = events;
    this.#interfaces = interfaces;
    this.#join();
    if (this.#joined.size === 0) throw new Error("no interface takes part");
    // The package codes and decodes. Its own handling of interfaces would speak on one of them only, and throw in timers.
    this.#mdns = multicastDns({ socket, port, ip: GROUP, multicast: false, bind: false });
    guardDecoder(socket, port);
    // It answers what it cannot send or read by these; discovery is best effort.
    this.#mdns.on("warning", () => {});
    this.#mdns.on("error", () => {});
    this.#mdns.on("query", ({ questions }) => this.#heardQuestions(questions));
    this.#mdns.on("response", ({ answers }, { address }) => this.#heardAnswers(answers, address));
    this.#looking = setInterval(() => this.#lookForNew(), INTERFACES_EVERY_MS);
    this.#looking.unref();
    socket.unref();
  }

  ask(tag: string): void {
    const name = subtype(tag);
    this.#send((to, done) => this.#mdns.query([{ name, type: "PTR" }], to, done));
  }

  say(notice: LanNotice): void {
    const answers = records(notice);
    this.#send((to, done) => this.#mdns.respond({ answers }, to, done));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#looking);
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([this.#sending, deadline]);
    clearTimeout(timer);
    await new Promise<void>((resolve) => this.#mdns.destroy(resolve));
  }

  /** On every interface, one after the other, since the choice of an interface is the socket's. */
  #send(send: (to: { port: number; address: string }, done: () => void) => void): void {
    if (this.#closed !== undefined || this.#waiting >= WAITING_MAX) return;
    this.#waiting += 1;
    this.#sending = this.#sending.then(async () => {
      for (const address of this.#joined) {
        try {
          this.#socket.setMulticastInterface(address);
        } catch {
          // The interface has gone. It comes back with the next look.
          this.#joined.delete(address);
          continue;
        }
        await new Promise<void>((resolve) => send({ port: this.#port, address: GROUP }, () => resolve()));
      }
      this.#waiting -= 1;
    });
  }

  #lookForNew(): void {
    let isNew = false;
    try {
      isNew = this.#join();
    } catch {
      // A system that does not tell its interfaces now may tell the next time.
    }
    if (isNew) this.#events.onInterface();
  }

  /** Joins the group where that is still to be done. @returns whether an interface is new */
  #join(): boolean {
    const present = this.#interfaces().slice(0, INTERFACES_MAX);
    for (const address of this.#joined) if (!present.includes(address)) this.#joined.delete(address);
    let isNew = false;
    for (const address of present) {
      if (this.#joined.has(address)) continue;
      try {
        this.#socket.addMembership(GROUP, address);
      } catch (error) {
        // An interface that went and came back may still be a member.
        if (!isAlreadyMember(error)) continue;
      }
      this.#joined.add(address);
      isNew = true;
    }
    return isNew;
  }

  #heardQuestions(questions: Questions | undefined): void {
    for (const { name, type } of questions ?? []) {
      if (type !== "PTR") continue;
      if (name === SERVICE) this.#events.onQuestion(undefined);
      else {
        const tag = tagOf(name);
        if (tag !== undefined) this.#events.onQuestion(tag);
      }
    }
  }

  #heardAnswers(answers: Answers | undefined, source: string): void {
    for (const answer of answers ?? []) {
      if (answer.type !== "TXT" || !answer.name.endsWith(`.${SERVICE}`)) continue;
      const strings = Array.isArray(answer.data) ? answer.data : [answer.data];
      if (strings.length > TEXTS_MAX) continue;
      const texts = strings.map((each) => (typeof each === "string" ? each : each.toString("utf8")));
      this.#events.onNotice({ texts, ttlSeconds: answer.ttl ?? 0 }, source);
    }
  }
}

function records({ label, tag, endpoints, texts, ttlSeconds }: LanNotice): Answers {
  const instance = `${checkLabel(label)}.${SERVICE}`;
  const host = `${label}.local`;
  const hostTtl = Math.min(ttlSeconds, HOST_TTL_SECONDS);
  const flush = true;
  const port = endpoints[0]?.port ?? 0;
  const strings = texts.map((text) => Buffer.from(text)).filter(({ length }) => length <= TEXT_BYTES_MAX);
  return [
    { name: SERVICE, type: "PTR", ttl: ttlSeconds, data: instance },
    { name: subtype(tag), type: "PTR", ttl: ttlSeconds, data: instance },
    { name: instance, type: "TXT", ttl: ttlSeconds, flush, data: strings.slice(0, TEXTS_MAX) },
    { name: instance, type: "SRV", ttl: hostTtl, flush, data: { port, target: host } },
    ...endpoints.flatMap((endpoint): Answers => {
      const version = isIP(endpoint.host);
      if (version === 0) return [];
      return [{ name: host, type: version === 4 ? "A" : "AAAA", ttl: hostTtl, flush, data: endpoint.host }];
    }),
  ];
}

function subtype(tag: string): string {
  return `_${checkLabel(tag)}._sub.${SERVICE}`;
}

function tagOf(name: string): string | undefined {
  return /^_([0-9a-f]{1,62})\._sub\._peerloom\._tcp\.local$/.exec(name)?.[1];
}

/** The package writes a longer one as something else. */
function checkLabel(label: string): string {
  if (label.length < LABEL_BYTES_MAX && /^[a-z0-9-]+$/.test(label)) return label;
  throw new PeerloomError("internal/assertion", `"${label.slice(0, 80)}" is no DNS label.`);
}

/**
 * Puts a gate before the package's decoder: most packets on a network are about other services, and a hostile one must
 * not cost more than its size. Both ends speak from the port (RFC 6762 §6, §11), so what does not is dropped.
 */
function guardDecoder(socket: Socket, port: number): void {
  const decoders = socket.listeners("message") as ((packet: Buffer, from: unknown) => void)[];
  socket.removeAllListeners("message");
  let allowance = PACKETS_BURST;
  let filledMs = performance.now();
  socket.on("message", (packet, from) => {
    if (from.port !== port || !isWorthReading(packet)) return;
    const nowMs = performance.now();
    allowance = Math.min(PACKETS_BURST, allowance + ((nowMs - filledMs) / 1_000) * PACKETS_PER_SECOND);
    filledMs = nowMs;
    if (allowance < 1) return;
    allowance -= 1;
    for (const decode of decoders) decode(packet, from);
  });
}

function isWorthReading(packet: Buffer): boolean {
  const headerBytes = 12;
  if (packet.length < headerBytes || packet.length > PACKET_BYTES_MAX) return false;
  let records = 0;
  for (let offset = 4; offset < headerBytes; offset += 2) records += packet.readUInt16BE(offset);
  return records <= RECORDS_MAX && packet.includes("\x09_peerloom\x04_tcp");
}

function bind(socket: Socket, port: number): Promise<void> {
  // Bound to the group, a socket takes no unicast: that stays the system's responder's, and nobody far away can send
  // anything here. Windows has no such thing.
  const address = process.platform === "win32" ? "0.0.0.0" : GROUP;
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ port, address }, () => {
      socket.off("error", reject);
      resolve();
    });
  });
}

/** Loopback too: peers of one machine that reach no further are there. */
function machineInterfaces(reach: LanReach): string[] {
  const found: string[] = [];
  for (const addresses of Object.values(networkInterfaces())) {
    // A group is joined once an interface.
    const first = addresses?.find(({ family }) => family === "IPv4");
    if (first !== undefined && (reach === "lan" || first.internal)) found.push(first.address);
  }
  return found;
}

function isAlreadyMember(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}
