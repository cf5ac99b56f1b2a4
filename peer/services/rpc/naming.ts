/**
 * What may be served and called, under which names, within which numbers. Checked where the application says it, before anything
 * of the calls themselves is loaded.
 */
import { utf8 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { Method } from "./served-call.ts";

export const SERVICE_NAME_BYTES_MAX = 100;
export const METHOD_NAME_CHARACTERS_MAX = 64;
export const TIMEOUT_MS_MAX = 86_400_000;
export const CONCURRENCY_MAX = 4_096;

export const RPC_DEFAULTS = { timeoutMs: 30_000, concurrency: 64 } as const;

/** @throws PeerloomError `usage/invalid` */
export function callsProtocol(service: string): string {
  const length = service.isWellFormed() ? utf8(service).length : 0;
  if (length === 0 || length > SERVICE_NAME_BYTES_MAX) {
    throw new PeerloomError(
      "usage/invalid",
      `A service's name has 1 to ${SERVICE_NAME_BYTES_MAX} bytes of UTF-8, e.g. "calc/1".`,
    );
  }
  return `rpc/1/${service}`;
}

/** Names that a proxy cannot offer: promises, JSON and every object ask for them. */
export function isReserved(name: string): boolean {
  return name === "then" || name === "toJSON" || name in Object.prototype;
}

/**
 * The functions that an object itself has, and nothing of a prototype.
 * @throws PeerloomError `usage/invalid`
 */
export function methodsOf(served: object): ReadonlyMap<string, Method> {
  const methods = new Map<string, Method>();
  for (const [name, value] of Object.entries(served)) {
    if (typeof value !== "function") continue;
    if (isReserved(name) || name.length > METHOD_NAME_CHARACTERS_MAX || !name.isWellFormed()) {
      throw new PeerloomError(
        "usage/invalid",
        `"${name.slice(0, 80)}" cannot be called from elsewhere: give the method another name of at most ${METHOD_NAME_CHARACTERS_MAX} characters.`,
      );
    }
    methods.set(name, value as Method);
  }
  if (methods.size > 0) return methods;
  throw new PeerloomError(
    "usage/invalid",
    "There is nothing to call: serve an object whose own properties are functions. Methods of a class are its prototype's.",
  );
}

/** @throws PeerloomError `usage/invalid` */
export function checkWhole(what: string, value: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= max) return;
  throw new PeerloomError("usage/invalid", `${what} is a whole number from 1 to ${max}, not ${value}.`);
}
