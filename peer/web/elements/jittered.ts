/** Half to all of a pause: not all pages of an edge that restarts come at once. */
export function jittered(pauseMs: number): number {
  const [byte = 0] = crypto.getRandomValues(new Uint8Array(1));
  return pauseMs * (0.5 + byte / 512);
}
