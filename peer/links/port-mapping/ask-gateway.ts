/** One question by UDP to the gateway, asked again with growing pauses, as RFC 6886 §3.1 wants it. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { MappingContext, MappingProtocol } from "./mapper.ts";

/** RFC 6886 begins at 250 ms, doubles, and gives up after a minute; a home's gateway has answered by the fourth, or will not. */
const RESEND_MS = [250, 500, 1_000, 2_000] as const;
/** Multicast and SSDP answers stay below this; longer datagrams are not looked at. */
const ANSWER_BYTES_MAX = 2_048;

export interface Question<T> {
  /** What is sent, and where to; several at once are one question. */
  readonly sends: readonly { readonly bytes: Uint8Array; readonly host: string }[];
  readonly port: number;
  /** The answer, or undefined when the bytes are none. */
  read(bytes: Uint8Array): T | undefined;
}

/**
 * Only what comes from the gateway's own address and port counts (RFC 6886 §3.1, RFC 6887 §8.3). Undefined when no answer came.
 * @throws PeerloomError `link/unavailable`, the signal's reason
 */
export async function askGateway<T>(
  { clock, udp, route }: Pick<MappingContext, "clock" | "udp" | "route">,
  { sends, port, read }: Question<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  signal.throwIfAborted();
  const socket = await udp.open("IPv4");
  try {
    const answered = Promise.withResolvers<T>();
    socket.onMessage = (bytes, from) => {
      if (from.host !== route.gateway || from.port !== port || bytes.length > ANSWER_BYTES_MAX) return;
      const answer = read(bytes);
      if (answer !== undefined) answered.resolve(answer);
    };
    for (const waitMs of RESEND_MS) {
      // What cannot be sent, as to a group that a firewall forbids, is not answered.
      for (const { bytes, host } of sends) await socket.send(bytes, { host, port }).catch(() => {});
      const answer = await Promise.race([answered.promise, clock.sleep(waitMs, signal)]);
      if (answer !== undefined) return answer;
    }
    return undefined;
  } finally {
    socket.close();
  }
}

/**
 * The same of protocols whose answers bring a result code, 0 for success.
 * @param results what the codes say, in their order
 * @throws PeerloomError `link/timeout` when no answer came, `link/failed` when the gateway refuses; as `askGateway`
 */
export async function successOf<T extends { readonly result: number }>(
  context: MappingContext,
  { protocol, results }: { readonly protocol: MappingProtocol; readonly results: readonly string[] },
  question: Question<T>,
  signal: AbortSignal,
): Promise<T> {
  const { gateway } = context.route;
  const answer = await askGateway(context, question, signal);
  if (answer === undefined)
    throw new PeerloomError("link/timeout", `The gateway ${gateway} does not answer (${protocol}).`);
  if (answer.result === 0) return answer;
  const why = results[answer.result] ?? `result ${answer.result}`;
  throw new PeerloomError("link/failed", `The gateway ${gateway} refuses (${protocol}): ${why}.`);
}
