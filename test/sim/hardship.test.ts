/**
 * Random hardship: machines sleep, crash, leave and come back and the network is cut, while streams, a topic, a feed and records are in use. Once
 * all is well again, everything has to be as if nothing had happened. `PEERLOOM_SEED` repeats or varies a run.
 */
import { expect, test } from "vitest";
import { type Peer, simulate, type SimNat, type SimulatedNetwork } from "../../peer/sim.ts";

const SEED: string = process.env.PEERLOOM_SEED ?? "1";
const NATS: readonly SimNat[] = ["none", "easy", "hard"];
const PEERS = 9;
/** Of the feed, and those that take links. */
const WRITERS = 3;
const STEPS = 10;
const STEP_MS_MAX = 45_000;
/** Sessions are back, cut networks have merged, trees have grown anew. */
const SETTLE_MS = 90_000;
const DOWN_MAX = 3;
const SHARED_BYTES = 4_000_000;

type Calc = { add(a: number, b: number): number };
type Sum = Awaited<ReturnType<typeof sumFeed>>;

interface Machine {
  readonly name: string;
  readonly nat: SimNat;
  state: "up" | "asleep" | "down";
  peer: Peer;
  topic?: ReturnType<Peer["topic"]>;
  feed?: Sum;
  /** What the topic brought since the peer was opened. */
  heard: string[];
}

function sumFeed(peer: Peer, writers: readonly string[]) {
  const apply = (sum: number, { value }: { readonly value: unknown }): number => sum + Number(value);
  return peer.feeds.open("sum", { writers, initial: 0, apply });
}

/** Numbers in order, as they are echoed by somebody else for as long as both machines run. */
class Flow {
  echoed = 0;
  failure: string | undefined;
  readonly #from: Machine;
  readonly #to: Machine;
  readonly #peers: readonly [Peer, Peer];
  #sent = 0;

  constructor(from: Machine, to: Machine) {
    this.#from = from;
    this.#to = to;
    this.#peers = [from.peer, to.peer];
  }

  /** Neither of the two was started anew. */
  get isWhole(): boolean {
    return this.#from.peer === this.#peers[0] && this.#to.peer === this.#peers[1];
  }

  async run(network: SimulatedNetwork): Promise<void> {
    const stream = await (await this.#from.peer.connect(this.#to.peer.id)).open("echo/1");
    const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
    const write = async (): Promise<void> => {
      for (;;) {
        const bytes = Uint8Array.from({ length: network.random.integer(1, 5_000) }, (_, i) => this.#sent + i);
        await writer.write(bytes);
        this.#sent += bytes.length;
        await network.sleep(network.random.integer(200, 2_000));
      }
    };
    const read = async (): Promise<void> => {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) throw new Error("it ended");
        for (const byte of value)
          if (byte !== (this.echoed++ & 255)) throw new Error(`another byte at ${this.echoed - 1}`);
      }
    };
    await Promise.race([write(), read()]).catch((error: unknown) => {
      this.failure = String(error);
    });
  }
}

class Scenario {
  readonly network: SimulatedNetwork;
  readonly machines: Machine[] = [];
  /** Keys of records, and what was put. */
  readonly kept = new Map<string, string>();
  readonly flows: Flow[] = [];
  appended = 0;
  #writers: string[] = [];

  constructor(network: SimulatedNetwork) {
    this.network = network;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.network.random.integer(0, items.length - 1)] as T;
  }

  async open(): Promise<void> {
    for (let i = 0; i < PEERS; i++) {
      const nat = i < WRITERS ? "none" : NATS[i % NATS.length]!;
      const peer = await this.network.open(`machine ${i}`, { nat });
      if (i < WRITERS) this.#writers.push(peer.id);
      this.machines.push({ name: `machine ${i}`, nat, peer, state: "up", heard: [] });
    }
    for (const machine of this.machines) await this.#use(machine);
    await this.network.sleep(10_000);
  }

  /** What goes wrong next, and how long nothing else does. */
  async step(): Promise<void> {
    const { network } = this;
    const machine = this.pick(this.machines);
    const isDown = this.machines.filter(({ state }) => state === "down").length;
    const chance = network.random.unit();
    if (chance < 0.2)
      network.split(
        this.#running()
          .filter(() => network.random.unit() < 0.5)
          .map(({ peer }) => peer),
      );
    else if (chance < 0.3) network.heal();
    else if (machine.state === "asleep") this.#wake(machine);
    else if (machine.state === "up" && chance < 0.7) {
      network.suspend(machine.peer);
      machine.state = "asleep";
    } else if (machine.state === "up" && isDown < DOWN_MAX) {
      machine.state = "down";
      if (chance < 0.85) network.crash(machine.peer);
      else await machine.peer.close();
    }
    this.#act();
    await network.sleep(network.random.integer(500, STEP_MS_MAX));
  }

  async recover(): Promise<void> {
    this.network.heal();
    for (const machine of this.machines) {
      if (machine.state === "asleep") this.#wake(machine);
      else if (machine.state === "down") {
        machine.peer = await this.network.open(machine.name, { nat: machine.nat });
        await this.#use(machine);
        machine.state = "up";
      }
    }
    await this.network.sleep(SETTLE_MS);
  }

  async append({ feed }: Machine): Promise<void> {
    await feed?.append(1);
    this.appended += 1;
  }

  #running(): Machine[] {
    return this.machines.filter(({ state }) => state !== "down");
  }

  #wake(machine: Machine): void {
    this.network.resume(machine.peer);
    machine.state = "up";
  }

  async #use(machine: Machine): Promise<void> {
    const { peer } = machine;
    const heard: string[] = [];
    machine.heard = heard;
    peer.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
    peer.serve("calc/1", { add: (a: number, b: number) => a + b });
    const topic = peer.topic("news", { history: 50 });
    machine.topic = topic;
    void (async () => {
      for await (const { value } of topic) heard.push(typeof value === "string" ? value : "");
    })();
    machine.feed = await sumFeed(peer, this.#writers);
  }

  /** Somebody uses the network meanwhile. What fails then fails with a reason, and what succeeds has to stay. */
  #act(): void {
    const awake = this.machines.filter(({ state }) => state === "up");
    if (awake.length < 2) return;
    const [one, other] = [this.pick(awake), this.pick(awake)];
    const value = `of ${one.name} at ${this.network.nowMs}`;
    const writer = this.pick(this.machines.slice(0, WRITERS));
    const tasks: Promise<unknown>[] = [
      one.topic?.publish(value) ?? Promise.resolve(),
      one.peer.records.put(value).then((key) => this.kept.set(key, value)),
      one.peer.rpc<Calc>(other.peer.id, "calc/1").add(1, 2),
    ];
    if (writer.state === "up") tasks.push(this.append(writer));
    for (const task of tasks) task.catch((error: unknown) => expect(error).toHaveProperty("code"));
  }
}

test(`nothing is lost to machines that sleep, crash and leave, nor to cuts (seed ${SEED})`, async () => {
  await simulate({ seed: SEED, lossShare: 0.02 }, async (network) => {
    const scenario = new Scenario(network);
    const { machines, flows, kept } = scenario;
    await scenario.open();
    for (let i = 0; i < 4; i++) flows.push(new Flow(machines[i]!, machines[PEERS - 1 - i]!));
    for (const flow of flows) void flow.run(network);
    for (let i = 0; i < STEPS; i++) await scenario.step();
    await scenario.recover();

    const before = flows.map(({ echoed }) => echoed);
    for (const machine of machines) {
      const other = scenario.pick(machines.filter((each) => each !== machine));
      expect(await machine.peer.rpc<Calc>(other.peer.id, "calc/1").add(2, 3)).toBe(5);
    }
    await machines[1]!.topic?.publish("all is well");
    await scenario.append(machines[2]!);
    for (const [key, value] of kept) expect(await scenario.pick(machines).peer.records.get(key)).toBe(value);
    await network.sleep(20_000);
    for (const machine of machines) {
      const { name, heard, feed } = machine;
      if (machine !== machines[1]) expect(heard, name).toContain("all is well");
      expect(new Set(heard).size, name).toBe(heard.length);
      expect(feed?.state, name).toBe(scenario.appended);
    }
    for (const [i, { isWhole, echoed, failure }] of flows.entries()) {
      if (!isWhole) continue;
      expect(failure).toBeUndefined();
      expect(echoed).toBeGreaterThan(before[i]!);
    }
    const [giver, taker] = [machines[0]!, scenario.pick(machines.slice(1))];
    const { ticket } = await giver.peer.files.share(new Blob([new Uint8Array(SHARED_BYTES)]), { name: "x" });
    expect((await taker.peer.files.get(ticket).blob()).size).toBe(SHARED_BYTES);
  });
});
