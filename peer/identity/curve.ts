/**
 * From an Ed25519 public key to the X25519 public key of the same secret: the birational map of RFC 7748 section 4.1.
 * A peer id thereby names both keys, and whoever knows an id can seal to it without asking anybody. That one key pair
 * may serve both is proven: Thormarker, "On using the same key pair for Ed25519 and an X25519 based KEM", IACR ePrint
 * 2021/509. Only public values are handled here, so BigInt's uneven timing tells nothing.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { PUBLIC_KEY_BYTES } from "../../shared/ids.ts";

/** The field's prime, 2^255 - 19. */
const P: bigint = 2n ** 255n - 19n;
/** Coefficient of curve25519: v^2 = u^3 + A u^2 + u. */
const A = 486_662n;
/** Points of order 8 have this y or its negative. */
const ORDER_EIGHT_Y = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd83d3d706a17c7n;
/** The y of all points whose order divides 8: everybody can sign for those keys and agrees with them on zero. */
const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, ORDER_EIGHT_Y, P - ORDER_EIGHT_Y]);

/**
 * True when the bytes may be a peer's key: canonical (one encoding for each point, so one id for each key) and not of
 * small order. Cheap; whether the point lies on the curve is found out by `x25519PublicOf` or by the first signature.
 */
export function isPeerKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES) return false;
  const y = readY(publicKey);
  return y < P && !SMALL_ORDER_Y.has(y);
}

/**
 * The X25519 public key that belongs to an Ed25519 public key.
 * @throws PeerloomError `id/invalid` when no honest key looks like this: not canonical, of small order, not on the curve
 */
export function x25519PublicOf(publicKey: Uint8Array): Uint8Array {
  if (!isPeerKey(publicKey)) throw invalidKey();
  const y = readY(publicKey);
  const u = ((1n + y) * invert(P + 1n - y)) % P;
  if (!isSquare((((u + A) * u + 1n) * u) % P)) throw invalidKey();
  return littleEndian(u);
}

/** The top bit is the sign of x, which the map does not need. */
function readY(publicKey: Uint8Array): bigint {
  let y = BigInt((publicKey[PUBLIC_KEY_BYTES - 1] as number) & 0x7f);
  for (let i = PUBLIC_KEY_BYTES - 2; i >= 0; i--) y = (y << 8n) | BigInt(publicKey[i] as number);
  return y;
}

function littleEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(PUBLIC_KEY_BYTES);
  let rest = value;
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** Extended Euclid: ten times as quick as Fermat's power, and zero gives zero alike. */
function invert(value: bigint): bigint {
  let [low, high] = [value % P, P];
  let [ofLow, ofHigh] = [1n, 0n];
  while (low > 1n) {
    const quotient = high / low;
    [low, high] = [high - quotient * low, low];
    [ofLow, ofHigh] = [ofHigh - quotient * ofLow, ofLow];
  }
  return low === 0n ? 0n : ((ofLow % P) + P) % P;
}

/** The Jacobi symbol (value/P) is 1: by reciprocity, as quick as Euclid. */
function isSquare(value: bigint): boolean {
  let [top, bottom] = [value % P, P];
  let symbol = 1;
  while (top !== 0n) {
    while ((top & 1n) === 0n) {
      top >>= 1n;
      const rest = bottom & 7n;
      if (rest === 3n || rest === 5n) symbol = -symbol;
    }
    if ((top & 3n) === 3n && (bottom & 3n) === 3n) symbol = -symbol;
    [top, bottom] = [bottom % top, top];
  }
  return bottom === 1n && symbol === 1;
}

function invalidKey(): PeerloomError {
  return new PeerloomError(
    "id/invalid",
    "That is not the public key of a peer: check that the peer id was copied whole.",
  );
}
