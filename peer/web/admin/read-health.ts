/** How the parts of the edge are, as `/health` says; it answers so whether they are well or not. */
const ANSWER_TIMEOUT_MS = 10_000;

/** For people. @throws what fetching throws */
export async function readHealth(signal: AbortSignal): Promise<string> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
  const response = await fetch("/health", { cache: "no-store", signal: within });
  const {
    ok,
    parts = {},
    wireVersion,
  } = (await response.json()) as {
    readonly ok: boolean;
    readonly parts?: Readonly<Record<string, string>>;
    readonly wireVersion?: number;
  };
  const ill = Object.entries(parts).filter(([, how]) => how !== "ok");
  const told = ill.map(([part, how]) => `${part} ${how === "late" ? "answers late" : "fails"}`);
  return ok
    ? `All ${Object.keys(parts).length} parts of this edge answer. Wire version ${wireVersion}.`
    : `This edge is not well: ${told.join(", ")}.`;
}
