/**
 * What Cloudflare has around a Worker and a bare workerd has not: the files behind `ASSETS`, and the counting behind `LIMIT`. A service of
 * its own beside the edge's, so that the edge is the same bundle everywhere.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { mayPass } from "./request-counter.ts";
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

export class Limiter extends WorkerEntrypoint<StandaloneEnv> {
  /** The interface of Cloudflare's rate limiting binding. */
  limit({ key }: { readonly key: string }): { readonly success: boolean } {
    return { success: mayPass(key, Date.now()) };
  }
}

export default {
  fetch: (): Response => new Response(null, { status: 404 }),
};
