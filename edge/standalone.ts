/**
 * What Cloudflare has around a Worker and a bare workerd has not: the files behind `ASSETS`. A service of its own beside the edge's, so that
 * the edge is the same bundle everywhere.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { webName } from "../shared/web-names.ts";

interface StandaloneEnv {
  /** workerd's disk service over the web folder. */
  readonly WEB: Fetcher;
}

export class Assets extends WorkerEntrypoint<StandaloneEnv> {
  override async fetch(request: Request): Promise<Response> {
    const file = webName(new URL(request.url).pathname);
    if (file === undefined) return new Response(null, { status: 404 });
    const found = await this.env.WEB.fetch(`http://web/${file.name}`);
    if (!found.ok) return new Response(null, { status: 404 });
    return new Response(request.method === "HEAD" ? null : found.body, { headers: file.headers });
  }
}

export default {
  fetch: (): Response => new Response(null, { status: 404 }),
};
