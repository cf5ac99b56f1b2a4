/** What the yardsticks of the edge, and of its storm, run on: one module in Miniflare, without wrangler's proxy. */
export interface BareWorker {
  readonly origin: string;
  stop(): Promise<void>;
}

/** @param objects class names of its Durable Objects by binding */
export async function startBareWorker(
  contents: string,
  objects: Readonly<Record<string, string>> = {},
): Promise<BareWorker> {
  const { Miniflare, convertV4MiniflareOptions } = await import("miniflare");
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      name: "bare",
      host: "127.0.0.1",
      port: 0,
      cf: false,
      modules: [{ type: "ESModule", path: "worker.js", contents }],
      compatibilityDate: "2026-10-23",
      compatibilityFlags: ["no_nodejs_compat", "no_nodejs_compat_v2"],
      durableObjects: Object.fromEntries(
        Object.entries(objects).map(([binding, className]) => [binding, { className, useSQLite: true }]),
      ),
    }),
  );
  return { origin: (await runtime.ready).origin, stop: () => runtime.dispose() };
}
