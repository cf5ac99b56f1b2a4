/**
 * node-datachannel's native API, signalled over a loopback WebSocket that is open before the dial. `standard` is as
 * shipped; `tuned` has what helped on loopback: packets of 1,500 bytes and messages of 256 KiB. In both the dialler is
 * the DTLS client, without which a dial in four takes a second.
 */
import ndc, { type DataChannel, type PeerConnection, type RtcConfig } from "node-datachannel";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { OWN_HOST } from "../lib/own-host.ts";
import type { Conn, Stack } from "../lib/stack.ts";

/** Pause above, resume at half. */
const BUFFER_HIGH_BYTES = 1024 * 1024;
/** A dial now and then fails as soon as the answer is applied, more often on a busy machine. The next try counts as its. */
const OPEN_MS_MAX = 5_000;
const TRIES_MAX = 3;

type Message =
  | { readonly sdp: string; readonly type: string }
  | { readonly candidate: string; readonly mid: string };

/** One negotiation among many on a socket. */
interface Call {
  send(message: Message): void;
  onMessage: (message: Message) => void;
}

/** Native objects that nobody holds are collected, and their connection with them. */
const alive = new Set<PeerConnection>();

export function createStack(variant: string): Stack {
  const tuned = variant === "tuned";
  const configuration: RtcConfig = {
    iceServers: [],
    bindAddress: OWN_HOST,
    maxMessageSize: 1024 * 1024,
    ...(tuned ? { mtu: 1500 } : {}),
  };
  let startCall: () => Call;
  return {
    ...(tuned ? { chunkBytes: 256 * 1024 } : {}),
    async listen(accept) {
      const server = new WebSocketServer({ port: 0, host: OWN_HOST });
      server.on("connection", (socket) => {
        calls(socket, (call) => {
          const peer = newPeer("listener", configuration);
          peer.onDataChannel((channel) => accept(channelConn(channel, peer)));
          negotiate(peer, call);
        });
      });
      await new Promise<void>((resolve) => {
        server.once("listening", resolve);
      });
      return `${OWN_HOST}:${(server.address() as AddressInfo).port}`;
    },
    async prepare(address) {
      const socket = new WebSocket(`ws://${address}`, { perMessageDeflate: false });
      await new Promise<void>((resolve, reject) => {
        socket.once("open", resolve);
        socket.once("error", reject);
      });
      startCall = calls(socket, () => {});
    },
    async dial() {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const conn = await openChannel(startCall(), configuration);
        if (conn !== undefined) return conn;
      }
      throw new Error(`The channel did not open in ${TRIES_MAX} tries.`);
    },
  };
}

/** Undefined when it failed or did not open in time. */
async function openChannel(call: Call, configuration: RtcConfig): Promise<Conn | undefined> {
  const peer = newPeer("dialler", configuration);
  negotiate(peer, call);
  const channel = peer.createDataChannel("bench");
  const opened = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), OPEN_MS_MAX);
    const settle = (isOpen: boolean): void => {
      clearTimeout(timer);
      resolve(isOpen);
    };
    channel.onOpen(() => settle(true));
    peer.onStateChange((state) => {
      if (state === "failed" || state === "closed") settle(false);
    });
  });
  if (opened) return channelConn(channel, peer);
  alive.delete(peer);
  peer.close();
  return undefined;
}

function newPeer(name: string, configuration: RtcConfig): PeerConnection {
  const peer = new ndc.PeerConnection(name, configuration);
  alive.add(peer);
  return peer;
}

function channelConn(channel: DataChannel, peer: PeerConnection): Conn {
  let wake: (() => void) | undefined;
  const low = BUFFER_HIGH_BYTES / 2;
  channel.setBufferedAmountLowThreshold(low);
  channel.onBufferedAmountLow(() => wake?.());
  const conn: Conn = {
    onData: () => {},
    write(bytes) {
      channel.sendMessageBinary(bytes);
      return channel.bufferedAmount() < BUFFER_HIGH_BYTES;
    },
    drained: () =>
      new Promise((resolve) => {
        wake = resolve;
        if (channel.bufferedAmount() <= low) resolve();
      }),
    close() {
      alive.delete(peer);
      peer.close();
    },
  };
  channel.onMessage((message) => {
    if (typeof message === "string") return;
    conn.onData(message instanceof Uint8Array ? message : new Uint8Array(message));
  });
  return conn;
}

function negotiate(peer: PeerConnection, call: Call): void {
  const early: Message[] = [];
  let described = false;
  peer.onLocalDescription((sdp, type) => call.send({ sdp, type }));
  peer.onLocalCandidate((candidate, mid) => call.send({ candidate, mid }));
  const take = (message: Message): void => {
    if (peer.state() === "closed") return;
    if ("sdp" in message) {
      // The answerer then is the DTLS server, so no ClientHello is lost before the offerer is ready for it.
      peer.setRemoteDescription(
        message.sdp.replace("a=setup:actpass", "a=setup:active"),
        message.type as never,
      );
      described = true;
      for (const waiting of early.splice(0)) take(waiting);
    } else if (described) peer.addRemoteCandidate(message.candidate, message.mid);
    else early.push(message);
  };
  call.onMessage = take;
}

/** Many negotiations over one socket. @returns starts one */
function calls(socket: WebSocket, onCall: (call: Call) => void): () => Call {
  const open = new Map<number, Call>();
  const add = (id: number): Call => {
    const call: Call = {
      send: (message) => socket.send(JSON.stringify({ id, message })),
      onMessage: () => {},
    };
    open.set(id, call);
    return call;
  };
  socket.on("message", (data: Buffer) => {
    const { id, message } = JSON.parse(data.toString()) as { id: number; message: Message };
    let call = open.get(id);
    if (call === undefined) {
      call = add(id);
      onCall(call);
    }
    call.onMessage(message);
  });
  let nextId = 1;
  return () => add(nextId++);
}
