/**
 * The secret behind relay tickets. `EDGE_SECRET` when configured; else one random secret made once and kept in a single row, so
 * that a bare deploy works and every isolate agrees.
 */
import { DurableObject } from "cloudflare:workers";
import { utf8 } from "../shared/bytes.ts";
import { countCalls } from "./door.ts";
import type { Env } from "./env.ts";
import { importTicketKey } from "./ticket-key.ts";

const SECRET_BYTES = 32;

/** One object for the whole edge; asked once in an isolate's life. */
export class EdgeKeys extends DurableObject<Env> {
  /** The same bytes for ever. */
  secret(): Uint8Array {
    const kept = this.ctx.storage.kv.get<Uint8Array>("secret");
    if (kept !== undefined) return kept;
    const made = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
    this.ctx.storage.kv.put("secret", made);
    return made;
  }
}

let cached: Promise<CryptoKey> | undefined;

/** The HMAC key of this edge's tickets. */
export function ticketKey(env: Env): Promise<CryptoKey> {
  cached ??= loadKey(env).catch((error: unknown) => {
    cached = undefined; // the next ticket asks again
    throw error;
  });
  return cached;
}

async function loadKey(env: Env): Promise<CryptoKey> {
  const configured = env.EDGE_SECRET ?? "";
  if (configured !== "") return importTicketKey(utf8(configured));
  countCalls(1);
  return importTicketKey(await env.KEYS.getByName("edge").secret());
}
