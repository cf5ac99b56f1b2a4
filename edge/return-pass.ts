/**
 * What a member shows to be let in again while newcomers are refused: `ID.EXPIRY.MAC`, the last in base64url, checked by the Worker before an object wakes.
 * The join proves the key, so a return pass in other hands opens nothing: the rendezvous compares the ids.
 */
import { bufferSource, fromBase64Url, toBase64Url, utf8 } from "../shared/bytes.ts";
import { type NetworkName, parsePeerId, type PeerId } from "../shared/ids.ts";

const PASS = /^([a-z2-7]{52})\.(\d{1,15})\.([\w-]{43})$/;
/** How a peer shows its pass, and, by giving one at all, that it understands `budget`. */
export const BACK_QUERY = "back";
/** How the Worker tells the rendezvous whose pass it has checked. */
export const BACK_HEADER = "x-peerloom-back";

export async function mintReturnPass(
  member: PeerId,
  network: NetworkName,
  expiresMs: number,
  key: CryptoKey,
): Promise<string> {
  const mac = await crypto.subtle.sign("HMAC", key, claimOf(member, network, expiresMs));
  return `${member}.${expiresMs}.${toBase64Url(new Uint8Array(mac))}`;
}

/** Whose pass it is; undefined when it is none of this edge and network, or has expired. */
export async function holderOfReturnPass(
  text: string,
  network: NetworkName,
  nowMs: number,
  key: CryptoKey,
): Promise<PeerId | undefined> {
  const [, id = "", expiry = "", mac = ""] = PASS.exec(text) ?? [];
  const member = parsePeerId(id);
  const bytes = fromBase64Url(mac);
  const expiresMs = Number(expiry);
  if (member === undefined || bytes === undefined || expiresMs <= nowMs) return undefined;
  const isGenuine = await crypto.subtle.verify(
    "HMAC",
    key,
    bufferSource(bytes),
    claimOf(member, network, expiresMs),
  );
  return isGenuine ? member : undefined;
}

function claimOf(member: PeerId, network: NetworkName, expiresMs: number): BufferSource {
  return bufferSource(utf8(`peerloom/back/1\n${member}\n${network}\n${expiresMs}`));
}
