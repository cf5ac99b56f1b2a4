/**
 * Who may use this edge in a private network, decided in the Worker: a pass is checked against the key in the network's name, so strangers
 * touch no object and the edge needs no configuration. An open network asks for none. What the Worker found travels to the rendezvous in a
 * header, which the Worker alone sets.
 */
import { fromBase64Url, toBase64Url, utf8, utf8Decode } from "../shared/bytes.ts";
import {
  ABILITIES_ALL,
  type Ability,
  ABILITY,
  checkCredential,
  type Credential,
  REFUSAL_TEXT,
} from "../shared/credential.ts";
import { type ErrorCode, PeerloomError } from "../shared/errors.ts";
import { type NetworkName, networkKindOf, type PeerId, publicKeyOf } from "../shared/ids.ts";
import { CLOCK_SKEW_MS_MAX } from "../shared/limits.ts";
import { decodePass, PASS_HEADER, PASS_QUERY, passClaim } from "../shared/pass.ts";
import { refusalNow } from "./ban-cache.ts";
import type { Env } from "./env.ts";
import { acceptedOrigins } from "./policy.ts";
import { verifySignature } from "./verify.ts";

/** How the Worker tells a rendezvous who comes. */
export const MEMBER_HEADER = "x-peerloom-member";

/** What the edge needs to know of a member of a private network. */
export type EdgeMember = Pick<
  Credential,
  "member" | "abilities" | "relayBytesPerDay" | "expiresMs" | "keys" | "counted"
>;

/** Why somebody is kept out; not thrown, because it is no error of ours. */
export class PrivateRefusal {
  readonly code: ErrorCode;
  readonly message: string;

  constructor(code: ErrorCode, message: string = REFUSAL_TEXT[code] ?? "This network is private.") {
    this.code = code;
    this.message = message;
  }
}

/** Undefined in an open network, where nobody need show anything. */
export async function passOf(
  env: Env,
  request: Request,
  network: NetworkName,
): Promise<EdgeMember | PrivateRefusal | undefined> {
  if (networkKindOf(network) === "open") return undefined;
  const url = new URL(request.url);
  const text = request.headers.get(PASS_HEADER) ?? url.searchParams.get(PASS_QUERY) ?? "";
  let credential: Credential;
  try {
    const pass = decodePass(text);
    if (pass === undefined) return new PrivateRefusal("network/not-member");
    const apartMs = pass.timeMs - Date.now();
    if (Math.abs(apartMs) > CLOCK_SKEW_MS_MAX) {
      const message = `This peer's clock differs by ${Math.round(apartMs / 1000)} s from the edge's. Set the clock.`;
      return new PrivateRefusal("edge/challenge-failed", message);
    }
    credential = await checkCredential(pass.credential, network, verifySignature);
    const { signature, timeMs } = pass;
    if (
      !(await isSigned(acceptedOrigins(env, request), {
        member: credential.member,
        network,
        timeMs,
        signature,
      }))
    )
      return new PrivateRefusal("network/not-member");
  } catch (error) {
    if (error instanceof PeerloomError) return new PrivateRefusal("network/not-member");
    throw error;
  }
  const refusal = await refusalNow(env, network, credential);
  return refusal === undefined ? credential : new PrivateRefusal(refusal);
}

/** In an open network everybody may do everything. */
export function may(member: Pick<EdgeMember, "abilities"> | undefined, ability: Ability): boolean {
  return ((member?.abilities ?? ABILITIES_ALL) & ABILITY[ability]) !== 0;
}

export function encodeMember(member: EdgeMember | undefined): string {
  return member === undefined ? "" : toBase64Url(utf8(JSON.stringify(member)));
}

/** Only what `encodeMember` made: the Worker overwrites what a stranger sends. */
export function decodeMember(header: string | null): EdgeMember | undefined {
  const bytes = fromBase64Url(header ?? "");
  return bytes === undefined || bytes.length === 0
    ? undefined
    : (JSON.parse(utf8Decode(bytes)) as EdgeMember);
}

async function isSigned(
  origins: readonly string[],
  pass: {
    readonly member: PeerId;
    readonly network: NetworkName;
    readonly timeMs: number;
    readonly signature: Uint8Array;
  },
): Promise<boolean> {
  const key = publicKeyOf(pass.member);
  for (const origin of origins)
    if (await verifySignature(key, passClaim(origin, pass.network, pass.timeMs), pass.signature)) return true;
  return false;
}
