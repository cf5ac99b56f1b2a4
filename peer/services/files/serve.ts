/**
 * Serving: answers one getter's stream. Requests are read ahead while answers are written, so that the getter's
 * pipeline stays full; the stream's credit is what holds back a reader that is too slow.
 */
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { Stream } from "../../session/contract.ts";
import { chunkCount, HASH_BYTES } from "./merkle.ts";
import {
  INDEX_BYTES,
  indexBody,
  indexOf,
  type Message,
  MESSAGE,
  messageHead,
  MessageReader,
  REQUEST_BYTES_MAX,
  shortMessage,
  violation,
} from "./protocol.ts";
import type { PreparedShare } from "./share.ts";

/** Requests a getter may have waiting; an honest one has fewer under way. */
const REQUESTS_WAITING_MAX = 1024;

/** Serves until the getter ends. A failure is told to it and then thrown. */
export async function serveStream(
  stream: Stream,
  find: (hashText: string) => PreparedShare | undefined,
): Promise<void> {
  const reader = new MessageReader(stream.readable, REQUEST_BYTES_MAX);
  const writer = stream.writable.getWriter();
  try {
    const opening = await reader.next();
    if (opening === undefined) return;
    if (opening.type !== MESSAGE.open || opening.body.length !== HASH_BYTES)
      throw violation("it begins with a hash");
    const share = find(toHex(opening.body));
    if (share === undefined)
      throw new PeerloomError("files/not-found", "That is not shared here, or no longer.");
    await writer.write(shortMessage(MESSAGE.manifest, share.manifest));
    await answerAll(reader, writer, share);
    await writer.close();
  } catch (error) {
    const { code } = toPeerloomError(error, "files/not-found", "Reading failed.");
    await writer.write(shortMessage(MESSAGE.failure, new TextEncoder().encode(code)));
    await writer.close();
    await reader.cancel();
    throw error;
  }
}

async function answerAll(
  reader: MessageReader,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  share: PreparedShare,
): Promise<void> {
  const waiting: Message[] = [];
  let over = false;
  let failure: PeerloomError | undefined;
  let wake = (): void => {};
  const collecting = (async () => {
    for (let message = await reader.next(); message !== undefined; message = await reader.next()) {
      if (waiting.length === REQUESTS_WAITING_MAX) throw violation("too many requests at once");
      waiting.push(message);
      wake();
    }
  })()
    .catch((error: unknown) => {
      failure = toPeerloomError(error, "stream/reset", "The getter went away.");
    })
    .finally(() => {
      over = true;
      wake();
    });
  for (;;) {
    const message = waiting.shift();
    if (message !== undefined) await answer(message, writer, share);
    else if (over) break;
    else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  await collecting;
  if (failure !== undefined) throw failure;
}

async function answer(
  message: Message,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  share: PreparedShare,
): Promise<void> {
  if (message.type === MESSAGE.layerWanted) {
    await writer.write(messageHead(MESSAGE.layer, share.layer.length));
    if (share.layer.length > 0) await writer.write(share.layer);
    return;
  }
  if (message.type !== MESSAGE.chunkWanted) throw violation("unknown request");
  const { content, chunkBytes } = share;
  const index = indexOf(message.body);
  if (index >= chunkCount(content.bytes, chunkBytes)) throw violation("no such chunk");
  const bytes = new Uint8Array(Math.min(chunkBytes, content.bytes - index * chunkBytes));
  await content.read(bytes, index * chunkBytes);
  await writer.write(messageHead(MESSAGE.chunk, INDEX_BYTES + bytes.length));
  await writer.write(indexBody(index));
  await writer.write(bytes);
}
