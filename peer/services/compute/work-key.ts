/** The key under which working peers of a network are found. */
import { toHex, utf8 } from "../../../shared/bytes.ts";
import type { NetworkName } from "../../../shared/ids.ts";
import type { HashProvider } from "../../runtime.ts";

/** A record key, 64 hexadecimal digits. */
export async function workKey(hash: HashProvider, network: NetworkName): Promise<string> {
  return toHex(await hash.sha256(utf8(`peerloom/work/${network}`)));
}
