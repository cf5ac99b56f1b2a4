/** Numbers that an application gives. */
import { PeerloomError } from "../../../shared/errors.ts";

/** @throws PeerloomError `usage/invalid` */
export function checkRange(name: string, value: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= max) return;
  throw new PeerloomError("usage/invalid", `${name} is a whole number from 1 to ${max}, not ${value}.`);
}
