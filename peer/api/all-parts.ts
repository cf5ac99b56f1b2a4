/** All parts of a peer, at hand from the start: Node and Deno read them from the disk. */
import { utf8 } from "../../shared/bytes.ts";
import { dialTcp } from "../links/tcp.ts";
import { listen } from "../links/listen.ts";
import { findMappers } from "../links/port-mapping/find-mappers.ts";
import { NONCE_BYTES } from "../links/port-mapping/mapper.ts";
import { mergeHeard } from "../overlay/lan-contacts.ts";
import { LanDiscovery } from "../overlay/lan-discovery.ts";
import { NatProbe } from "../overlay/nat-probe.ts";
import { PortMapping } from "../overlay/port-mapping.ts";
import { Compute } from "../services/compute/compute.ts";
import { Feeds } from "../services/feeds/feeds.ts";
import { Files } from "../services/files/files.ts";
import { Ports } from "../services/ports/ports.ts";
import { Records } from "../services/records/records.ts";
import { Rpc } from "../services/rpc/rpc.ts";
import { Search } from "../services/search/search.ts";
import { Topics } from "../services/topics/topics.ts";
import { openPrivateNetwork } from "./private-network.ts";
import type { MapPortOptions, PeerParts, Services, ServicesContext } from "./parts.ts";
import { weave } from "./weave.ts";

const NONCE_PREFIX = "peerloom/port-mapping/1";

export const ALL_PARTS: PeerParts = {
  weave: (context) => Promise.resolve(weave(context)),
  openPrivateNetwork,
  services: allServices,
  sockets: {
    dialTcp,
    listen,
    mapPort,
    lan: ({ addressesOf, remember, ...options }) =>
      new LanDiscovery({
        ...options,
        remember: (id, heard, before) => remember(id, mergeHeard({ heard, before, known: addressesOf(id) })),
      }),
    natMapping: (runtime, iceServers) => {
      const probe = new NatProbe(runtime, iceServers);
      return () => probe.mapping();
    },
  },
};

/** The identity signs what makes its nonce, so that a gateway knows the peer that comes again after a crash. */
function mapPort({ runtime, identity, listener, onChange }: MapPortOptions): PortMapping {
  const { host: listenHost, port } = listener;
  return new PortMapping({
    runtime,
    port,
    async *find(signal) {
      const nonce = (await identity.sign(utf8(NONCE_PREFIX))).slice(0, NONCE_BYTES);
      yield* findMappers(runtime, { listenHost, nonce }, signal);
    },
    onChange,
  });
}

function allServices({ host, edge, limits, release, search: context }: ServicesContext): Services {
  const records = new Records(host);
  const files = new Files(host, { edge, records, limits });
  const feeds = new Feeds(host, records);
  const compute = new Compute(host, records);
  const ports = new Ports(host);
  const rpc = new Rpc(host);
  const topics = new Topics({ host, records, release });
  const search = new Search({ ...context, host, files, records, edge });
  return {
    files,
    records,
    feeds,
    compute,
    ports,
    rpc,
    topics,
    search,
    start: (mesh) => records.start(mesh),
    close: async () => {
      rpc.close();
      await ports.close();
      await topics.close();
      await search.close();
      await files.close();
      await feeds.close();
      await compute.close();
    },
    end: () => records.close(),
  };
}
