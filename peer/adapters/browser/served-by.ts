/** Which edge a script of ours came from. */

/** What the edge's build calls the modules that may hold this one: an entry, or a part that entries share. */
const SERVED_AS = /^\/(peer|peerjs|chunk-[A-Z0-9]{8})\.js$/;

/** The origin of this script when an edge served it; bundled into a page it says nothing. */
export function servedBy(): string | null {
  const { origin, pathname } = new URL(import.meta.url);
  return SERVED_AS.test(pathname) && origin.startsWith("http") ? origin : null;
}
