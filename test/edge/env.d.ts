/** What `cloudflare:workers` hands the tests: the Worker's own bindings. */
declare namespace Cloudflare {
  interface Env {
    readonly RENDEZVOUS: DurableObjectNamespace<import("../../edge/rendezvous.ts").Rendezvous>;
    readonly RELAY: DurableObjectNamespace<import("../../edge/relay-channel.ts").RelayChannel>;
    readonly KEYS: DurableObjectNamespace<import("../../edge/edge-keys.ts").EdgeKeys>;
    readonly TALLY: DurableObjectNamespace<import("../../edge/tally.ts").EdgeTally>;
    readonly PEERJS: DurableObjectNamespace<import("../../edge/peerjs-room.ts").PeerjsRoom>;
    readonly SEARCH: DurableObjectNamespace<import("../../edge/search-index.ts").SearchIndex>;
    readonly LEDGER: DurableObjectNamespace<import("../../edge/ledger.ts").EdgeLedger>;
    readonly LIMIT: RateLimit;
    readonly BUDGET_UNITS: string;
  }
  interface GlobalProps {
    readonly mainModule: typeof import("../../edge/index.ts");
  }
}
