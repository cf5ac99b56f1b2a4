/**
 * How another link joins a session that stands. Its dialler says `attach`, sealed with the session's keys, the other side `attached`; each has
 * drawn a nonce, so that nothing is a replay, and tells its link's binding, so that nobody sits in the middle, and how much has arrived.
 */
import { equalBytes } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { attachHeader, FRAME, type Frame, frameHeader, LINK_NONCE_BYTES } from "../../shared/frame.ts";
import { short } from "../../shared/ids.ts";
import type { Runtime } from "../runtime.ts";
import { type AttachProof, decodeAttachProof, encodeAttachProof } from "./control.ts";
import type { FirstFrames } from "./first-frames.ts";
import { refusedBy } from "./handshake.ts";
import { nonceOf } from "./seal.ts";
import type { PeerSession } from "./session.ts";

/** What attaching needs of a session. */
export type Attachable = Pick<
  PeerSession,
  | "peerId"
  | "sessionId"
  | "keys"
  | "path"
  | "nextControlCounter"
  | "receivedBelow"
  | "acknowledgedBelow"
  | "addPath"
  | "end"
>;

/**
 * Makes a link that this side dialled a path of the session. A session without any path that the other side does not know is ended.
 * @throws PeerloomError `session/handshake-failed`, `session/unknown`, `wire/malformed`, what `FirstFrames.next` throws
 */
export async function attach<S extends Attachable>(
  session: S,
  frames: FirstFrames,
  { clock, random }: Pick<Runtime, "clock" | "random">,
  signal: AbortSignal,
): Promise<S> {
  const { link } = frames;
  const linkNonce = random.bytes(LINK_NONCE_BYTES);
  const counter = session.nextControlCounter();
  const echo = new Uint8Array(LINK_NONCE_BYTES);
  const header = attachHeader(session.sessionId, counter);
  link.send(
    await sealProof(session, counter, header, {
      linkNonce,
      echo,
      next: session.receivedBelow,
      binding: link.binding,
    }),
  );
  const answer = await frames.next(clock, signal);
  if (answer.type === "refuse") {
    // A refusal is not sealed. While another path lives it proves nothing; without one the session is lost anyway.
    if (answer.code === "session/unknown" && session.path.kind === "none") {
      session.end(
        new PeerloomError("session/lost", `${short(session.peerId)} no longer knows this session.`),
      );
    }
    throw refusedBy(session.peerId, answer.code);
  }
  if (answer.type !== "attached")
    throw new PeerloomError("wire/malformed", "The answer to an attach is an attached.");
  const theirs = await openProof(session, answer);
  if (!equalBytes(theirs.echo, linkNonce) || !equalBytes(theirs.binding, link.binding)) throw meddled();
  session.acknowledgedBelow(theirs.next);
  session.addPath(link, "usable", theirs.linkNonce);
  frames.handOver();
  return session;
}

/**
 * Takes a link that the other side attaches; it proves itself on it with its first control frame.
 * @throws PeerloomError `session/handshake-failed`, `wire/malformed`
 */
export async function acceptAttach(
  session: Attachable,
  frames: FirstFrames,
  frame: Extract<Frame, { type: "attach" }>,
  { random }: Pick<Runtime, "random">,
): Promise<void> {
  const { link } = frames;
  const theirs = await openProof(session, frame);
  if (!equalBytes(theirs.binding, link.binding)) throw meddled();
  const linkNonce = random.bytes(LINK_NONCE_BYTES);
  const counter = session.nextControlCounter();
  const sealed = await sealProof(session, counter, frameHeader(FRAME.attached, counter), {
    linkNonce,
    echo: theirs.linkNonce,
    next: session.receivedBelow,
    binding: link.binding,
  });
  session.addPath(link, "proving", linkNonce);
  link.send(sealed);
  frames.handOver();
}

async function sealProof(
  { keys }: Attachable,
  counter: number,
  header: Uint8Array,
  proof: AttachProof,
): Promise<Uint8Array[]> {
  return [header, ...(await keys.sendControl.seal(nonceOf(counter), header, [encodeAttachProof(proof)]))];
}

async function openProof(
  { keys }: Attachable,
  frame: { readonly counter: number; readonly header: Uint8Array; readonly sealed: Uint8Array },
): Promise<AttachProof> {
  const opened = await keys.receiveControl.open(nonceOf(frame.counter), frame.header, frame.sealed);
  if (opened === undefined) throw new PeerloomError("session/handshake-failed", "The attachment was forged.");
  return decodeAttachProof(opened);
}

function meddled(): PeerloomError {
  return new PeerloomError("session/handshake-failed", "Somebody sits in the middle of this link.");
}
