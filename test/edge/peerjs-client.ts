/** PeerJS clients as the edge sees them: a WebSocket that speaks JSON, and the room that holds its id. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect } from "vitest";
import { roomName, shardOf } from "../../edge/peerjs-options.ts";
import type { PeerjsRoom } from "../../edge/peerjs-room.ts";
import { Ear, request } from "./harness.ts";

/** As in the tests' configuration. */
export const SHARDS = 4;
export const SOCKETS_MAX = 100;

let ids = 0;

/** Rooms are shared between the tests of a file, so each takes ids of its own. */
export function freshId(): string {
  ids += 1;
  return `peer-${ids}-${crypto.randomUUID().slice(0, 8)}`;
}

export interface ClientOptions {
  readonly id?: string;
  readonly token?: string;
  readonly key?: string;
  readonly headers?: Record<string, string>;
}

export class PeerjsClient {
  readonly id: string;
  readonly token: string;
  readonly key: string;
  readonly ear: Ear;

  private constructor(id: string, token: string, key: string, ear: Ear) {
    this.id = id;
    this.token = token;
    this.key = key;
    this.ear = ear;
  }

  /** Has a socket, and has not looked at what the edge says. */
  static async connect({ id = freshId(), token = "t0ken", key = "peerjs", headers }: ClientOptions = {}) {
    const query = new URLSearchParams({ key, id, token, version: "1.5.5" });
    return new PeerjsClient(
      id,
      token,
      key,
      new Ear(await request(`/peerjs/peerjs?${query.toString()}`, headers)),
    );
  }

  static async opened(options: ClientOptions = {}): Promise<PeerjsClient> {
    const client = await PeerjsClient.connect(options);
    await client.expect({ type: "OPEN" });
    return client;
  }

  get room(): DurableObjectStub<PeerjsRoom> {
    return roomOf(this.id, this.key);
  }

  send(message: unknown): void {
    this.ear.socket.send(JSON.stringify(message));
  }

  /** The next message is exactly this one. */
  async expect(message: unknown): Promise<void> {
    expect(JSON.parse((await this.ear.next()) as string)).toEqual(message);
  }

  /** Nothing has come, as the answer to a message to oneself shows. */
  async expectNothing(): Promise<void> {
    this.send({ type: "CANDIDATE", dst: this.id, payload: "nothing before" });
    await this.expect({ type: "CANDIDATE", src: this.id, dst: this.id, payload: "nothing before" });
  }

  /** Closes and waits until the edge knows. */
  async close(): Promise<void> {
    this.ear.socket.close(1000);
    await this.ear.closed();
  }
}

export function roomOf(id: string, key = "peerjs"): DurableObjectStub<PeerjsRoom> {
  return env.PEERJS.getByName(roomName(key, shardOf(id, SHARDS)));
}

/** Throws a room out of memory, as sleep does; sockets stay. */
export async function sleepRoom(id: string, key?: string): Promise<void> {
  const room = roomOf(id, key);
  await runInDurableObject(room, () => {}); // one that sleeps already cannot be evicted
  await evictDurableObject(room);
}

/** Lets so much time pass for what waits for `dst`, and rings the alarm. */
export async function expireFor(dst: string, elapsedMs: number): Promise<void> {
  await age(dst, elapsedMs);
  await runDurableObjectAlarm(roomOf(dst));
}

export async function age(dst: string, elapsedMs: number): Promise<void> {
  await runInDurableObject(roomOf(dst), (_, { storage }) => {
    storage.sql.exec("UPDATE waiting SET untilMs = untilMs - ? WHERE dst = ?", elapsedMs, dst);
  });
}

/** Puts the last sign of life of a socket into the past, where the room must find it again. */
export async function silence(id: string, elapsedMs: number): Promise<void> {
  await runInDurableObject(roomOf(id), (_, ctx) => {
    for (const socket of ctx.getWebSockets()) {
      const peer = socket.deserializeAttachment() as { id: string; seenMs: number } | null;
      if (peer?.id === id) socket.serializeAttachment({ ...peer, seenMs: peer.seenMs - elapsedMs });
    }
  });
  await sleepRoom(id);
}
