/** The text of an HTTP answer, as long as it is no longer than it may be. */
import { concatBytes, utf8Decode } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";

/**
 * @param who for people: `The edge`
 * @throws PeerloomError `wire/too-large`
 * @throws TypeError when it is no UTF-8
 */
export async function boundedText(response: Response, bytesMax: number, who: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const reader = response.body?.getReader();
  for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
    bytes += read.value.length;
    if (bytes > bytesMax) {
      await reader?.cancel();
      throw new PeerloomError("wire/too-large", `${who}'s answer is too long.`);
    }
    parts.push(read.value);
  }
  return utf8Decode(concatBytes(...parts));
}
