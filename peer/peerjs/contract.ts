/** What applications see of PeerJS: a door that has an id at a PeerServer, and data connections through it. */
import type { PeerloomError } from "../../shared/errors.ts";
import type { Stream } from "../session/contract.ts";
import type { Serialization } from "./serialization.ts";

/**
 * One data connection, to the stock client or to another door. Iterating gives the values that come, each once, to whoever asks first; it
 * ends with the connection and throws when that failed (`link/failed`, `wire/malformed`, `peerjs/too-large`, `peerjs/unread`). Leaving
 * the loop leaves the connection open.
 *
 * PeerJS has no identities: who the other side is, only the PeerServer says, and who runs that can read along.
 * @example
 * for await (const value of connection) await connection.send({ echo: value });
 */
export interface PeerJsConnection extends AsyncIterable<unknown>, AsyncDisposable {
  /** PeerJS id of the other side. */
  readonly peer: string;
  /** As the side that connected named it; PeerJS's default is an id of the connection. */
  readonly label: string;
  /** What the side that connected has sent along: JSON of a stranger. */
  readonly metadata: unknown;
  readonly serialization: Serialization;
  /** Whether values keep their order. None is lost either way. */
  readonly reliable: boolean;
  readonly isOpen: boolean;
  /**
   * Sends one value; resolves when it has been taken and the channel's buffer has room, so who awaits it is as fast as the
   * other side. The value, and bytes in it, must not change until then. What comes as `undefined`, numbers, strings, arrays, plain
   * objects and ArrayBuffers goes exactly; a Date becomes its string, views and Blobs become ArrayBuffers, as in the stock client.
   * @throws PeerloomError `peerjs/value-invalid` (it would arrive as something else, or cannot be carried), `peerjs/too-large`,
   * `peerjs/unread` (4,096 values wait already), `link/closed` and what ended the connection
   */
  send(value: unknown): Promise<void>;
  /** Sends what was given to `send`, then ends the connection. Twice is harmless. */
  close(): Promise<void>;
  /** Resolves when it has ended: with why it failed, or undefined when one side closed it. */
  readonly closed: Promise<PeerloomError | undefined>;
}

/** What `PeerJsDoor.handle` calls: a handler for `peer.handle` that asks nothing of its session is one too. */
export type ConnectionHandler = (stream: Stream, connection: PeerJsConnection) => Promise<void> | void;

export interface PeerJsConnectOptions {
  /** @default an id of the connection */
  readonly label?: string;
  /** Any JSON, for the other side. */
  readonly metadata?: unknown;
  /** @default "binary" */
  readonly serialization?: Serialization;
  /** Values keep their order. PeerJS's own default is false. @default true */
  readonly reliable?: boolean;
  /** Gives up. 20 s are the longest that it takes without. */
  readonly signal?: AbortSignal;
}

/** Whether the door's server is reached; `error` says why not. Connections live on without it. */
export interface ServerState {
  readonly connected: boolean;
  readonly error?: PeerloomError;
}
