/** What the environment says to every peer of this process. */

/** `PEERLOOM_EDGE`: the edge's URL, or `none`. Undefined when it says nothing. */
export function edgeFromEnvironment(): string | null | undefined {
  const edge = process.env["PEERLOOM_EDGE"];
  if (edge === undefined || edge === "") return undefined;
  return edge === "none" ? null : edge;
}
