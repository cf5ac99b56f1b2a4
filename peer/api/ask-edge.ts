/** What an edge tells an operator or an owner alone: a question with a credential, an answer in JSON, and refusals as errors. */
import { parseErrorCode, PeerloomError, toPeerloomError } from "../../shared/errors.ts";

const ANSWER_TIMEOUT_MS = 10_000;

/** @throws PeerloomError `edge/unreachable` after ten seconds too, what the edge says; what aborts the signal */
export async function askEdge(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<unknown> {
  const within = AbortSignal.any([
    AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    ...(signal === undefined ? [] : [signal]),
  ]);
  try {
    const response = await fetch(url, { headers, signal: within, cache: "no-store" });
    const answer: unknown = await response.json();
    if (response.ok) return answer;
    const { code, message } = answer as { readonly code?: unknown; readonly message?: unknown };
    throw new PeerloomError(
      parseErrorCode(String(code), "edge/unreachable"),
      `The edge says: ${String(message).slice(0, 500)}`,
    );
  } catch (error) {
    signal?.throwIfAborted();
    throw toPeerloomError(
      error,
      "edge/unreachable",
      `The edge ${url.origin} gave no answer. Is it running, and not an older one?`,
    );
  }
}
