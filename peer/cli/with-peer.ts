/**
 * A peer for the length of one command: its data folder, the peer itself, the control socket of an owner, and the notes
 * about edge and paths that every command owes the user. Everything is closed in reverse order however the command
 * ends, and a `process.exit` in between leaves neither lock nor socket behind.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { short } from "../../shared/ids.ts";
import { untilAborted } from "../overlay/abort.ts";
import type { PathInfo, Session } from "../session/contract.ts";
import type { CommandContext } from "./command.ts";
import { type ControlServer, serveControl } from "./control-socket.ts";
import { type DataFolder, dataFolderPath, openDataFolder } from "./data-folder.ts";
import type { EdgeState, Unanswered } from "../api/peer.ts";
import { describeMapping } from "./format.ts";
import { networkOptions } from "./network-options.ts";
import type { CliPeer, PeerOpenOptions } from "./peer-contract.ts";

export interface PeerScopeOptions {
  /** `owner`: a server. `any`: a command that ends by itself; it comes as a guest when the folder is taken. */
  readonly role: "owner" | "any";
  /** What the command knows better than the user's options, e.g. the network that a ticket names. */
  readonly defaults?: Pick<PeerOpenOptions, "edge" | "network">;
  /** Called when a session starts, moves or ends; then with why it did. */
  readonly onPath?: (session: Session, ended?: ErrorCode) => void;
}

/** Closing a peer may have to wait for a farewell on a dead path; longer than this is not worth a user's time. */
const CLOSE_TIMEOUT_MS = 5000;

/**
 * Runs `body` with a peer made from the command's options.
 * @throws PeerloomError `aborted` when the user stops the command, and whatever `body` throws
 */
export async function withPeer(
  context: CommandContext,
  scope: PeerScopeOptions,
  body: (peer: CliPeer) => Promise<void>,
): Promise<void> {
  const folder = await openDataFolder(
    dataFolderPath(context.options.data, context.host),
    context.command.name,
    scope.role,
  );
  let control: ControlServer | undefined;
  let peer: CliPeer | undefined;
  /** From then on peers go because this one does, which is no news. */
  const ending = new AbortController();
  const onExit = (): void => {
    control?.closeNow();
    folder.closeNow();
  };
  process.on("exit", onExit);
  try {
    const opening = context.host.openPeer(await peerOptions(context, scope, folder));
    peer = await untilAborted(opening, context.signal).catch(async (error: unknown) => {
      // Stopped while it opened: what still comes out of it is closed too.
      if (context.signal.aborted)
        await within(
          CLOSE_TIMEOUT_MS,
          opening.then((late) => late.close()).catch(() => undefined),
        );
      throw error;
    });
    const open = peer;
    tellEdge(open, context);
    if (folder.role === "owner") {
      control = await serveControl(folder.path, (ask) =>
        ask === "status" ? statusOf(open, context) : undefined,
      );
    }
    const running = body(open);
    // After what the command says first, and with what has happened by then: peers may have come while this one was opened.
    tellPaths(open, context, scope.onPath, ending.signal);
    tellMapping(open, context);
    tellUnanswered(open, context);
    await untilAborted(running, context.signal);
  } finally {
    ending.abort();
    await control?.close();
    if (peer !== undefined) await within(CLOSE_TIMEOUT_MS, peer.close());
    await folder.close();
    process.off("exit", onExit);
  }
}

/** Resolves never; the command runs until it is stopped. */
export function untilStopped(signal: AbortSignal): Promise<void> {
  return untilAborted(new Promise<void>(() => undefined), signal).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** `direct (tcp)`, `relayed by the edge (udp-blocked)`, for people. */
export function describePath(path: PathInfo): string {
  if (path.kind === "none") return "no path";
  if (path.why === "turn") return `relayed by a TURN server (${path.transport})`;
  if (path.kind === "direct") return `direct (${path.transport})`;
  if (path.kind === "overlay") return `through other peers (${path.why})`;
  return `relayed by the edge (${path.why})`;
}

async function peerOptions(
  context: CommandContext,
  scope: PeerScopeOptions,
  { path, statePath }: DataFolder,
): Promise<PeerOpenOptions> {
  const { edge, listen, mapPorts, bootstrap, only, lan } = context.options;
  const named = await networkOptions(context);
  const { network, ...defaults } = scope.defaults ?? {};
  // With a secret, a network's name is what people call it; what a ticket names is what is made of it.
  const isNamed = named.network !== undefined || named.secret !== undefined || named.invite !== undefined;
  return {
    ...defaults,
    ...(network !== undefined && !isNamed ? { network } : {}),
    ...(edge !== undefined ? { edge } : {}),
    ...named,
    ...(listen !== undefined ? { listen } : {}),
    ...(mapPorts !== undefined ? { mapPorts } : {}),
    ...(only !== undefined ? { only } : {}),
    ...(lan !== undefined ? { lan } : {}),
    ...(bootstrap.length > 0 ? { bootstrap } : {}),
    dataDir: statePath,
    networksDir: path,
    signal: context.signal,
  };
}

function statusOf(peer: CliPeer, context: CommandContext): unknown {
  return { ...peer.status(), command: context.command.name, pid: process.pid };
}

function tellEdge(peer: CliPeer, { output }: CommandContext): void {
  peer.addEventListener("edge", (event) => {
    const change = (event as CustomEvent<EdgeState>).detail;
    const text = change.connected
      ? `edge: connected to ${peer.edge ?? "the edge"}`
      : change.error === undefined
        ? "edge: left; other peers carry this one now"
        : `edge: not connected: ${change.error.message}; trying again`;
    output.note(text, {
      event: "edge",
      connected: change.connected,
      ...(change.error === undefined ? {} : { code: change.error.code, message: change.error.message }),
    });
  });
}

function tellMapping(peer: CliPeer, { output }: CommandContext): void {
  const tell = (): void => {
    const { mapping } = peer.status();
    if (mapping !== null && mapping.phase !== "looking")
      output.note(`router: ${describeMapping(mapping)}`, { event: "mapping", ...mapping });
  };
  peer.addEventListener("mapping", tell);
  tell();
}

/** Each once, though it is dialled again and again. */
function tellUnanswered(peer: CliPeer, { output }: CommandContext): void {
  const told = new Set<string>();
  peer.addEventListener("unanswered", (event) => {
    const { id, addresses, error } = (event as CustomEvent<Unanswered>).detail;
    if (told.has(id)) return;
    told.add(id);
    output.note(`bootstrap: not reached: ${error.message} Trying again while nobody is linked.`, {
      event: "unanswered",
      id,
      addresses,
      code: error.code,
      message: error.message,
    });
  });
}

function tellPaths(
  peer: CliPeer,
  { output }: CommandContext,
  onPath: PeerScopeOptions["onPath"],
  until: AbortSignal,
): void {
  /** What was said last of each. */
  const told = new WeakMap<Session, string>();
  const tell = (session: Session, ended?: ErrorCode): void => {
    const why = ended?.startsWith("network/") === true ? ` (${ended})` : "";
    const line = `${short(session.peerId)}: ${session.closed ? `gone${why}` : describePath(session.path)}`;
    // A path may change in what is no news to a person.
    if (line !== told.get(session)) output.note(line);
    told.set(session, line);
    onPath?.(session, ended);
  };
  const look = (session: Session): void => {
    if (!told.has(session)) {
      // It is there a moment before its first path carries it.
      if (session.path.kind === "none") return;
      const onClose = (event: Event): void => tell(session, (event as CustomEvent<ErrorCode>).detail);
      session.addEventListener("close", onClose, { signal: until });
    }
    tell(session);
  };
  const onSession = (event: Event): void => look((event as CustomEvent<Session>).detail);
  peer.addEventListener("session", onSession, { signal: until });
  for (const session of peer.sessions()) look(session);
}

/** Waits for a promise, but not longer; a failure to close is no failure of the command. */
async function within(timeoutMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([promise.catch(() => undefined), deadline]);
  clearTimeout(timer);
}
