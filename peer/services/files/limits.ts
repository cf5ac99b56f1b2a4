/** How fast files may go, for all shares and downloads of a peer together. */
import { PeerloomError } from "../../../shared/errors.ts";

/** Bytes a second; undefined: as fast as it goes. */
export interface TransferLimits {
  readonly upload?: number | undefined;
  readonly download?: number | undefined;
}

/** @throws PeerloomError `usage/invalid` */
export function checkLimits({ upload, download }: TransferLimits): void {
  for (const limit of [upload, download]) {
    if (limit !== undefined && !(limit > 0 && Number.isFinite(limit)))
      throw new PeerloomError("usage/invalid", `A limit is a number of bytes a second, not ${limit}.`);
  }
}
