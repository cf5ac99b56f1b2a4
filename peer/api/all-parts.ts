/** All parts of a peer, at hand from the start: Node and Deno read them from the disk. */
import { dialTcp } from "../links/tcp.ts";
import { NatProbe } from "../overlay/nat-probe.ts";
import { Compute } from "../services/compute/compute.ts";
import { Feeds } from "../services/feeds/feeds.ts";
import { DISK } from "../services/files/disk-saving.ts";
import { Files } from "../services/files/files.ts";
import { Ports } from "../services/ports/ports.ts";
import { Records } from "../services/records/records.ts";
import { Rpc } from "../services/rpc/rpc.ts";
import { Search } from "../services/search/search.ts";
import { Topics } from "../services/topics/topics.ts";
import { checkByDatagrams, checkGateway } from "./diagnosis/datagram-checks.ts";
import { openLan } from "./lan.ts";
import { Listening } from "./listening.ts";
import { openPrivateNetwork } from "./private-network.ts";
import type { PeerParts, Services, ServicesContext } from "./parts.ts";
import { weave } from "./weave.ts";

export const ALL_PARTS: PeerParts = {
  weavesLate: false,
  weave: (context) => Promise.resolve(weave(context)),
  openPrivateNetwork,
  services: allServices,
  sockets: {
    dialTcp,
    listening: (context) => new Listening(context),
    lan: openLan,
    natMapping: (runtime, iceServers) => {
      const probe = new NatProbe(runtime, iceServers);
      return () => probe.mapping();
    },
    checkByDatagrams,
    checkGateway,
  },
};

function allServices({ host, edge, limits, release, search: context }: ServicesContext): Services {
  const records = new Records(host);
  const files = new Files(host, { edge, records, limits, disk: DISK });
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
