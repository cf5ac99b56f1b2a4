/** The relay channel: frames pass unchanged, memory has a bound, and a sleeping object is no worse than one that is awake. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { ticketKey } from "../../edge/edge-keys.ts";
import { RELAY_UNACKED_FRAMES_MAX } from "../../edge/relay-credit.ts";
import { mintTicket, type RelaySide } from "../../edge/tickets.ts";
import { type ChannelId, channelIdFrom, DEFAULT_NETWORK } from "../../shared/ids.ts";
import {
  FRAME_BYTES_MAX,
  RELAY_ACK_EVERY_BYTES,
  RELAY_PENDING_BYTES_MAX,
  RELAY_UNACKED_BYTES_MAX,
} from "../../shared/limits.ts";
import { Ear, freshNetwork, makeIdentity, request, sleepRelay, TestPeer } from "./harness.ts";

const frame = (fill: number, length = 16): Uint8Array => new Uint8Array(length).fill(fill);
const bytesOf = async (ear: Ear): Promise<Uint8Array> => new Uint8Array((await ear.next()) as ArrayBuffer);

class Channel {
  readonly id: ChannelId = channelIdFrom(crypto.getRandomValues(new Uint8Array(16)));

  async ticket(side: RelaySide, expiresMs: number = Date.now() + 60_000): Promise<string> {
    const { id: peer } = await makeIdentity();
    return mintTicket(
      { channel: this.id, side, peer, network: DEFAULT_NETWORK, expiresMs },
      await ticketKey(env),
    );
  }

  async open(side: RelaySide): Promise<Ear> {
    return new Ear(await request(`/v1/relay/${this.id}?ticket=${await this.ticket(side)}`));
  }

  /** Both sides, after `ready`. */
  async openBoth(): Promise<[Ear, Ear]> {
    const ears: [Ear, Ear] = [await this.open(0), await this.open(1)];
    for (const ear of ears) expect(await ear.next()).toBe("ready");
    return ears;
  }

  sleep(): Promise<void> {
    return sleepRelay(this.id);
  }
}

describe("passing frames", () => {
  test("both ways, unchanged, in order, across sleeps", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    for (let round = 0; round < 3; round++) {
      await channel.sleep();
      for (let i = 0; i < 5; i++) a.socket.send(frame(i, 1 + i * 1000));
      b.socket.send(frame(200 + round, FRAME_BYTES_MAX));
      for (let i = 0; i < 5; i++) expect(await bytesOf(b)).toEqual(frame(i, 1 + i * 1000));
      expect(await bytesOf(a)).toEqual(frame(200 + round, FRAME_BYTES_MAX));
    }
  });

  test("the tickets of a rendezvous open it", async () => {
    const network = freshNetwork();
    const [asker, asked] = [await TestPeer.joined(network), await TestPeer.joined(network)];
    asker.send({ kind: "relay", request: 1, to: asked.id, sealed: frame(1) });
    const { channel, ticket } = await asker.expect("relay-ready");
    const offer = await asked.expect("relay-offer");
    const a = new Ear(await request(`/v1/relay/${channel}?ticket=${ticket}`));
    const b = new Ear(await request(`/v1/relay/${channel}?ticket=${offer.ticket}`));
    expect([await a.next(), await b.next()]).toEqual(["ready", "ready"]);
    await sleepRelay(channel);
    b.socket.send(frame(5));
    expect(await bytesOf(a)).toEqual(frame(5));
  });

  test("acknowledgements are not forwarded, and ping is answered in between", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    await channel.sleep();
    b.socket.send("ack:0");
    b.socket.send("ping");
    expect(await b.next()).toBe("pong");
    b.socket.send(frame(1));
    expect(await bytesOf(a)).toEqual(frame(1));
  });
});

describe("the side that comes first", () => {
  test("its frames are held and delivered in order after `ready`", async () => {
    const channel = new Channel();
    const a = await channel.open(0);
    for (let i = 1; i <= 4; i++) a.socket.send(frame(i, RELAY_PENDING_BYTES_MAX / 4));
    await held(channel);
    const b = await channel.open(1);
    expect([await a.next(), await b.next()]).toEqual(["ready", "ready"]);
    for (let i = 1; i <= 4; i++) expect((await bytesOf(b))[0]).toBe(i);
    await channel.sleep();
    a.socket.send(frame(9));
    expect(await bytesOf(b)).toEqual(frame(9));
  });

  test("a byte more than may be held closes it", async () => {
    const channel = new Channel();
    const a = await channel.open(0);
    a.socket.send(frame(1, RELAY_PENDING_BYTES_MAX));
    a.socket.send(frame(2, 1));
    expect(await a.closed()).toEqual({ code: 4003, reason: "edge/relay-over-credit" });
  });

  test("so does a flood of tiny frames", async () => {
    const a = await new Channel().open(0);
    for (let i = 0; i < 300; i++) a.socket.send(frame(1, 1));
    expect(await a.closed()).toEqual({ code: 4003, reason: "edge/relay-over-credit" });
  });

  test("frames lost by a sleep end the link, so that nobody believes them sent", async () => {
    const channel = new Channel();
    const a = await channel.open(0);
    a.socket.send(frame(1));
    await held(channel);
    await channel.sleep();
    const b = await channel.open(1);
    expect(await a.closed()).toEqual({ code: 1012, reason: "edge/relay-unavailable" });
    const again = await channel.open(0);
    expect([await again.next(), await b.next()]).toEqual(["ready", "ready"]);
  });

  test("a sleep while nothing is held changes nothing", async () => {
    const channel = new Channel();
    const a = await channel.open(0);
    await channel.sleep();
    const b = await channel.open(1);
    expect([await a.next(), await b.next()]).toEqual(["ready", "ready"]);
  });
});

describe("credit", () => {
  const fill = (ear: Ear, bytes: number): void => {
    for (let sent = 0; sent < bytes; sent += FRAME_BYTES_MAX) ear.socket.send(frame(1, FRAME_BYTES_MAX));
  };
  const drain = async (ear: Ear, bytes: number): Promise<void> => {
    for (let got = 0; got < bytes;) got += (await bytesOf(ear)).length;
  };

  test("a receiver that says nothing stops its sender at the bound", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    fill(a, RELAY_UNACKED_BYTES_MAX);
    await drain(b, RELAY_UNACKED_BYTES_MAX);
    a.socket.send(frame(2, 1));
    expect(await a.closed()).toEqual({ code: 4003, reason: "edge/relay-over-credit" });
    expect(await b.closed()).toEqual({ code: 4002, reason: "link/closed" });
  });

  test("a stalled receiver still stops its sender when the object sleeps in between", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    for (let quarter = 0; quarter < 4; quarter++) {
      fill(a, RELAY_UNACKED_BYTES_MAX / 4);
      await drain(b, RELAY_UNACKED_BYTES_MAX / 4);
      await channel.sleep();
    }
    fill(a, FRAME_BYTES_MAX);
    expect(await a.closed()).toEqual({ code: 4003, reason: "edge/relay-over-credit" });
  });

  test("with acknowledgements the bytes have no end, whenever the object sleeps", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    let total = 0;
    for (let round = 0; round < 6; round++) {
      fill(a, RELAY_UNACKED_BYTES_MAX / 2);
      if (round % 2 === 0) await drain(b, 0);
      await drain(b, RELAY_UNACKED_BYTES_MAX / 2);
      if (round % 2 === 1) await channel.sleep();
      for (let part = 0; part < RELAY_UNACKED_BYTES_MAX / 2; part += RELAY_ACK_EVERY_BYTES) {
        total += RELAY_ACK_EVERY_BYTES;
        b.socket.send(`ack:${total}`);
      }
      await acknowledged(channel, 1, total);
      if (round % 3 === 2) await channel.sleep();
    }
    a.socket.send(frame(7));
    expect(await bytesOf(b)).toEqual(frame(7));
  });

  test("small talk with long pauses never runs out", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    for (let i = 0; i < 30; i++) {
      a.socket.send(frame(i, 100_000));
      expect((await bytesOf(b))[0]).toBe(i);
      await channel.sleep();
      // As an honest receiver does: each time a quarter of a MiB is full.
      const before = Math.floor((i * 100_000) / RELAY_ACK_EVERY_BYTES);
      if (Math.floor(((i + 1) * 100_000) / RELAY_ACK_EVERY_BYTES) > before)
        b.socket.send(`ack:${(i + 1) * 100_000}`);
    }
  });

  test("claiming more than was sent wins nothing beyond the bound", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    b.socket.send("ack:999999999999999");
    b.socket.send("ack:5");
    await acknowledged(channel, 1, 999_999_999_999_999);
    fill(a, RELAY_UNACKED_BYTES_MAX + FRAME_BYTES_MAX);
    expect(await a.closed()).toEqual({ code: 4003, reason: "edge/relay-over-credit" });
  });

  test("tiny frames are counted too", async () => {
    const { RelayCredit } = await import("../../edge/relay-credit.ts");
    const credit = new RelayCredit({ sent: 0, acked: 0 });
    for (let i = 0; i < RELAY_UNACKED_FRAMES_MAX; i++) expect(credit.spend(1)).toBe(true);
    expect(credit.spend(1)).toBe(false);
    credit.acknowledge(10);
    expect(credit.spend(1)).toBe(true);
  });
});

describe("bad input and bad manners", () => {
  const rude: Record<string, { message: Uint8Array | string; code: number; reason: string }> = {
    "a frame too large": {
      message: frame(1, FRAME_BYTES_MAX + 1),
      code: 1009,
      reason: "link/frame-too-large",
    },
    "an empty frame": { message: new Uint8Array(0), code: 1008, reason: "wire/malformed" },
    "unknown text": { message: "hello", code: 1008, reason: "wire/malformed" },
    "a negative acknowledgement": { message: "ack:-1", code: 1008, reason: "wire/malformed" },
    "an acknowledgement that is no number": { message: "ack:1e9", code: 1008, reason: "wire/malformed" },
    "an acknowledgement beyond all numbers": {
      message: `ack:${"9".repeat(40)}`,
      code: 1008,
      reason: "wire/malformed",
    },
    "a megabyte of text": { message: "x".repeat(2 ** 20), code: 1008, reason: "wire/malformed" },
  };
  for (const [what, { message, code, reason }] of Object.entries(rude)) {
    test(`${what} ends this link and no other`, async () => {
      const [channel, bystanders] = [new Channel(), new Channel()];
      const [c, d] = await bystanders.openBoth();
      const [a, b] = await channel.openBoth();
      await channel.sleep();
      a.socket.send(message);
      expect(await a.closed()).toEqual({ code, reason });
      expect(await b.closed()).toEqual({ code: 4002, reason: "link/closed" });
      c.socket.send(frame(3));
      expect(await bytesOf(d)).toEqual(frame(3));
    });
  }

  test("when one side leaves, the other gets what was sent and is told; both may come again", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    await channel.sleep();
    a.socket.send(frame(4));
    a.socket.close(1000, "done");
    expect(await bytesOf(b)).toEqual(frame(4));
    expect(await b.closed()).toEqual({ code: 4002, reason: "link/closed" });
    await a.closed();
    await channel.openBoth();
  });

  test("a side that leaves without a word while the object sleeps takes the other along", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    await channel.sleep();
    b.socket.close(1000, "done");
    expect(await a.closed()).toEqual({ code: 4002, reason: "link/closed" });
  });

  test("the same side again replaces the old socket, and the pairing begins anew", async () => {
    const channel = new Channel();
    const [a, b] = await channel.openBoth();
    await channel.sleep();
    const again = await channel.open(0);
    expect(await a.closed()).toEqual({ code: 4001, reason: "edge/replaced" });
    expect(await b.closed()).toEqual({ code: 4002, reason: "link/closed" });
    const other = await channel.open(1);
    expect([await again.next(), await other.next()]).toEqual(["ready", "ready"]);
    again.socket.send(frame(6));
    expect(await bytesOf(other)).toEqual(frame(6));
  });
});

describe("tickets at the door", () => {
  const status = async (channel: Channel, ticket: string): Promise<unknown> => {
    const response = await request(`/v1/relay/${channel.id}?ticket=${ticket}`);
    return [response.status, ((await response.json()) as { code: string }).code];
  };

  test("expired, foreign, altered and missing ones open nothing and wake nobody", async () => {
    const channel = new Channel();
    const good = await channel.ticket(0);
    const altered = `${good.slice(0, 60)}${good[60] === "A" ? "B" : "A"}${good.slice(61)}`;
    const forged = `${good.slice(0, -8)}AAAAAAAA`;
    expect(await status(channel, await channel.ticket(0, Date.now() - 1))).toEqual([
      403,
      "edge/ticket-expired",
    ]);
    expect(await status(channel, await new Channel().ticket(0))).toEqual([403, "edge/ticket-invalid"]);
    expect(await status(channel, altered)).toEqual([403, "edge/ticket-invalid"]);
    expect(await status(channel, forged)).toEqual([403, "edge/ticket-invalid"]);
    expect(await status(channel, "")).toEqual([403, "edge/ticket-invalid"]);
    expect(await status(channel, "A".repeat(100_000).slice(0, 6_000))).toEqual([403, "edge/ticket-invalid"]);
  });
});

/** Waits until the object holds a frame: frames travel on another path than the test's calls. */
async function held(channel: Channel): Promise<void> {
  await poll(channel, (attachments) => attachments.some(({ holding }) => holding));
}

async function acknowledged(channel: Channel, side: RelaySide, total: number): Promise<void> {
  await poll(channel, (attachments) => attachments.some((one) => one.side === side && one.acked === total));
}

interface Attached {
  readonly side: RelaySide;
  readonly acked: number;
  readonly holding: boolean;
}

async function poll(channel: Channel, isSo: (attachments: readonly Attached[]) => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  const stub = env.RELAY.getByName(channel.id);
  for (;;) {
    const attachments = await runInDurableObject(stub, (_, ctx) =>
      ctx.getWebSockets().map((one) => one.deserializeAttachment() as Attached | null),
    );
    if (isSo(attachments.filter((one) => one !== null))) return;
    if (Date.now() > deadline) throw new Error("the object never got there");
  }
}
