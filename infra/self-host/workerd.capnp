# The edge without Cloudflare: the same bundle in workerd, objects on the local disk, TLS by whatever stands in front. Checked and started by
# test/integration/self-host.test.ts. Paths of folders are given on the command line: see peerloom-edge.service.

using Workerd = import "/workerd/workerd.capnp";

const edge :Workerd.Config = (
  services = [
    (name = "edge", worker = .edgeWorker),
    (name = "standalone", worker = .standaloneWorker),
    (name = "web", disk = (path = "../web")),
    (name = "state", disk = (path = "state", writable = true)),
    # Whoever opens it: workerd itself. Sockets are refused before it has none left.
    (name = "descriptors", disk = (path = "/proc/self/fd")),
    (name = "internet", network = (allow = ["public"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [
    # Loopback only: what reaches it must have passed the proxy, whose header says from where it came.
    (
      name = "http",
      address = "127.0.0.1:8787",
      http = (forwardedProtoHeader = "X-Forwarded-Proto"),
      service = "edge"
    ),
  ],
);

const edgeWorker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "../worker.js")],
  compatibilityDate = "2026-10-23",
  compatibilityFlags = ["no_nodejs_compat", "no_nodejs_compat_v2"],
  # The keys name the folders of the state: never change them.
  durableObjectNamespaces = [
    (className = "Rendezvous", uniqueKey = "peerloom-rendezvous", enableSql = true),
    (className = "RelayChannel", uniqueKey = "peerloom-relay", enableSql = true),
    (className = "EdgeKeys", uniqueKey = "peerloom-keys", enableSql = true),
    (className = "EdgeTally", uniqueKey = "peerloom-tally", enableSql = true),
    (className = "PeerjsRoom", uniqueKey = "peerloom-peerjs", enableSql = true),
    (className = "SearchIndex", uniqueKey = "peerloom-search", enableSql = true),
    (className = "EdgeLedger", uniqueKey = "peerloom-ledger", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "state"),
  bindings = [
    (name = "RENDEZVOUS", durableObjectNamespace = "Rendezvous"),
    (name = "RELAY", durableObjectNamespace = "RelayChannel"),
    (name = "KEYS", durableObjectNamespace = "EdgeKeys"),
    (name = "TALLY", durableObjectNamespace = "EdgeTally"),
    (name = "PEERJS", durableObjectNamespace = "PeerjsRoom"),
    (name = "SEARCH", durableObjectNamespace = "SearchIndex"),
    (name = "LEDGER", durableObjectNamespace = "EdgeLedger"),
    (name = "ASSETS", service = (name = "standalone", entrypoint = "Assets")),
    (name = "DESCRIPTORS", service = "descriptors"),
    # Variables come from the environment: edge.env.
    (name = "DESCRIPTORS_MAX", fromEnvironment = "DESCRIPTORS_MAX"),
    (name = "EDGE_SECRET", fromEnvironment = "EDGE_SECRET"),
    (name = "NETWORKS", fromEnvironment = "NETWORKS"),
    (name = "BUDGET_UNITS", fromEnvironment = "BUDGET_UNITS"),
    (name = "BUDGET_NETWORK_UNITS", fromEnvironment = "BUDGET_NETWORK_UNITS"),
    (name = "EDGE_ADMIN_TOKEN", fromEnvironment = "EDGE_ADMIN_TOKEN"),
    (name = "PUBLIC_ORIGINS", fromEnvironment = "PUBLIC_ORIGINS"),
    (name = "RENDEZVOUS_SHARDS", fromEnvironment = "RENDEZVOUS_SHARDS"),
    (name = "RENDEZVOUS_BEACONS", fromEnvironment = "RENDEZVOUS_BEACONS"),
    (name = "PEERJS_KEYS", fromEnvironment = "PEERJS_KEYS"),
    (name = "PEERJS_DISCOVERY", fromEnvironment = "PEERJS_DISCOVERY"),
    (name = "PEERJS_SHARDS", fromEnvironment = "PEERJS_SHARDS"),
    (name = "PEERJS_SOCKETS_MAX", fromEnvironment = "PEERJS_SOCKETS_MAX"),
    (name = "PEERJS_ALIVE_SECONDS", fromEnvironment = "PEERJS_ALIVE_SECONDS"),
    (name = "PEERJS_EXPIRE_SECONDS", fromEnvironment = "PEERJS_EXPIRE_SECONDS"),
    (name = "STUN_URLS", fromEnvironment = "STUN_URLS"),
    (name = "TURN_URLS", fromEnvironment = "TURN_URLS"),
    (name = "TURN_SECRET", fromEnvironment = "TURN_SECRET"),
    (name = "TURN_KEY_ID", fromEnvironment = "TURN_KEY_ID"),
    (name = "TURN_KEY_API_TOKEN", fromEnvironment = "TURN_KEY_API_TOKEN"),
  ],
);

const standaloneWorker :Workerd.Worker = (
  modules = [(name = "standalone.js", esModule = embed "../standalone.js")],
  compatibilityDate = "2026-10-23",
  compatibilityFlags = ["no_nodejs_compat", "no_nodejs_compat_v2"],
  bindings = [(name = "WEB", service = "web")],
);
