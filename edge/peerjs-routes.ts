/**
 * PeerServer's HTTP and its door: a PeerJS application sets `path: "/peerjs"` and notices no difference. What the Worker can refuse
 * by itself it refuses without touching an object, in a frame, because a browser shows no page the answer to an upgrade.
 */
import { Hono } from "hono";
import { cors } from "hono/cors";
import type { ErrorCode } from "../shared/errors.ts";
import { isAtLeast } from "../shared/budget.ts";
import {
  BAN_HEADER,
  BANNED,
  countServed,
  learn,
  OVER_BUDGET,
  STAGE_HEADER,
  stageLeftMs,
  stageOf,
} from "./door.ts";
import { hasRoom, NO_ROOM } from "./descriptors.ts";
import type { Env } from "./env.ts";
import { isKey, isListed, isOff, peerjsOptions, roomName, shardOf } from "./peerjs-options.ts";
import { errorFrame, ID_LENGTH_MAX, TOKEN_LENGTH_MAX } from "./peerjs-protocol.ts";
import { addressPrefix, clientAddress, isAllowed } from "./policy.ts";
import { countRefusal, isUpgrade, refuse, refuseUntil } from "./refusals.ts";

const ABOUT = {
  name: "PeerJS Server",
  description: "A server side element to broker connections between PeerJS clients.",
  website: "https://peerjs.com/",
} as const;
/** The word is fixed in the client; it is not the key. */
const SOCKET_PATH = "/peerjs/peerjs";
const ALL = "/peerjs/*";
const OFF = "This edge serves no PeerJS clients.";
/** PeerServer lets a browser keep an id, and two tabs then claim the same. */
const NO_STORE = { "cache-control": "no-store" } as const;

export const peerjs: Hono<{ Bindings: Env }> = new Hono();

peerjs.use(ALL, async ({ env, req }, next) => {
  if (!isOff(env)) return next();
  return isUpgrade(req.raw)
    ? refuseSocket("peerjs/key-invalid", OFF)
    : refuse("peerjs/key-invalid", OFF, 403);
});

// Before CORS: the headers of an upgrade's answer cannot be changed.
peerjs.use(ALL, async ({ env, req }, next) => {
  if (!isUpgrade(req.raw)) return next();
  return req.path === SOCKET_PATH ? openSocket(env, req.raw) : new Response("Bad Request", { status: 400 });
});

peerjs.use(
  ALL,
  cors({ origin: (origin) => origin, allowMethods: ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"] }),
);

for (const path of ["/peerjs", "/peerjs/"]) peerjs.get(path, (context) => context.json(ABOUT));

// An id is not reserved, only random; it costs no more than refusing it would.
peerjs.get("/peerjs/:key/id", (context) => context.html(crypto.randomUUID(), 200, NO_STORE));

peerjs.get("/peerjs/:key/peers", async ({ env, req, json, text }) => {
  const key = req.param("key");
  if (!isListed(env, key)) return text("Unauthorized", 401, NO_STORE);
  if (!(await isAllowed(env, "peerjs-list", req.raw)))
    return refuse("edge/rate-limited", "Too many requests from this address. Wait a minute.");
  if (isAtLeast(await stageOf(env, `peerjs/${key}`), "members"))
    return refuseUntil("edge/over-budget", OVER_BUDGET, stageLeftMs());
  countServed();
  const { shards } = peerjsOptions(env);
  const rooms = Array.from({ length: shards }, (_, shard) => env.PEERJS.getByName(roomName(key, shard)));
  const ids = await Promise.all(rooms.map((room) => room.ids()));
  return json(ids.flat(), 200, NO_STORE);
});

peerjs.all(ALL, ({ text }) => text("Not Found", 404));

async function openSocket(env: Env, request: Request): Promise<Response> {
  const query = new URL(request.url).searchParams;
  const [id, token, key] = ["id", "token", "key"].map((name) => query.get(name) ?? "") as [
    string,
    string,
    string,
  ];
  if (id === "" || token === "" || key === "")
    return refuseSocket("peerjs/id-invalid", "No id, token, or key supplied to websocket server");
  if (!isKey(env, key)) return refuseSocket("peerjs/key-invalid", "Invalid key provided");
  if (id.length > ID_LENGTH_MAX || token.length > TOKEN_LENGTH_MAX)
    return refuseSocket("peerjs/id-invalid", `An id or a token has at most ${ID_LENGTH_MAX} characters`);
  if (!(await isAllowed(env, "peerjs", request)))
    return refuseSocket("edge/rate-limited", "Too many sockets from this address. Wait a minute.");
  // PeerJS knows no members: its clients are newcomers, always.
  const account = `peerjs/${key}`;
  if (isAtLeast(await stageOf(env, account), "members")) return refuseSocket("edge/over-budget", OVER_BUDGET);
  // No socket to say it on: it would be the one too many.
  if (!(await hasRoom(env, Date.now()))) return refuse("edge/over-capacity", NO_ROOM);
  const shard = shardOf(id, peerjsOptions(env).shards);
  const room = env.PEERJS.getByName(roomName(key, shard));
  const prefix = addressPrefix(clientAddress(request));
  const response = learn(await room.fetch(request), account, prefix);
  return response.webSocket === null ? closedSocket(await frameOf(response)) : response;
}

/** The room answers in frames, but for a closed budget and a ban, which it tells as every object does. */
async function frameOf(response: Response): Promise<string> {
  if (response.headers.has(BAN_HEADER)) return errorFrame("edge/banned", BANNED);
  return response.headers.has(STAGE_HEADER) ? errorFrame("edge/over-budget", OVER_BUDGET) : response.text();
}

function refuseSocket(code: ErrorCode, message: string): Response {
  countRefusal(code);
  return closedSocket(errorFrame(code, message));
}

/** As PeerServer refuses: an open socket, one frame, a close without a code. */
function closedSocket(frame: string): Response {
  const { 0: client, 1: socket } = new WebSocketPair();
  socket.accept();
  socket.send(frame);
  socket.close();
  return new Response(null, { status: 101, webSocket: client });
}
