/**
 * The parts of a peer in a page, each loaded when it is first needed: by the application, or by another peer that opens a stream for
 * it. The overlay is loaded after the first session, or a moment after joining, records right after it, since a peer keeps some for others.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { checkLimits, type TransferLimits } from "../services/files/limits.ts";
import { ticketOf } from "../services/files/ticket.ts";
import type { Session } from "../session/contract.ts";
import { LaterComputation } from "./later/later-computation.ts";
import { LaterDownload } from "./later/later-download.ts";
import { LaterFeeds } from "./later/later-feeds.ts";
import { LaterNetworks } from "./later/later-networks.ts";
import { LaterRpc } from "./later/later-rpc.ts";
import { LaterTopic } from "./later/later-topic.ts";
import { loaded, OnDemand } from "./on-demand.ts";
import type { Networks as NetworksClass } from "./networks.ts";
import type { Networks, PeerParts, Services, ServicesContext } from "./parts.ts";

const LOADS = {
  privateNetwork: () => import("./private-network.ts"),
  weave: () => import("./weave.ts"),
  records: () => import("../services/records/records.ts"),
  files: () => import("../services/files/files.ts"),
  archives: () => import("../services/files/zip-archive.ts"),
  feeds: () => import("../services/feeds/feeds.ts"),
  compute: () => import("../services/compute/compute.ts"),
  rpc: () => import("../services/rpc/rpc.ts"),
  search: () => import("../services/search/search.ts"),
  topics: () => import("../services/topics/topics.ts"),
  diagnosis: () => import("./diagnosis/diagnose.ts"),
} as const;

/**
 * Loads every part now, so that nothing is missing when the edge that served them is gone.
 * @throws PeerloomError `edge/unreachable`
 */
export async function loadAllParts(): Promise<void> {
  await loaded(Promise.all(Object.values(LOADS).map((load) => load())));
}

/** What reads an invite, and opens the network that it is for. @throws PeerloomError `edge/unreachable` */
export function privateNetworks(): Promise<typeof import("./private-network.ts")> {
  return loaded(LOADS.privateNetwork());
}

/** What finds out why peers do not meet. @throws PeerloomError `edge/unreachable` */
export function diagnosis(): Promise<typeof import("./diagnosis/diagnose.ts")> {
  return loaded(LOADS.diagnosis());
}

/** @throws PeerloomError `edge/unreachable` when it is used and cannot be loaded */
export function networksOnDemand(...options: ConstructorParameters<typeof NetworksClass>): Networks {
  return new LaterNetworks(
    new OnDemand(async () => {
      const { Networks: Loaded } = await privateNetworks();
      return new Loaded(...options);
    }),
  );
}

export const PARTS_ON_DEMAND: PeerParts = {
  weavesLate: true,
  weave: async (context) => (await loaded(LOADS.weave())).weave(context),
  openPrivateNetwork: async (...call) => (await privateNetworks()).openPrivateNetwork(...call),
  services: servicesOnDemand,
  sockets: undefined,
};

/** As the services name them, which are not here yet; a test compares the two. */
export const ANSWERED_ON_DEMAND = { files: "files/1", search: "search/1", topics: "topic/1" } as const;

function servicesOnDemand(context: ServicesContext): Services {
  const { host, edge } = context;
  let limits: TransferLimits = context.limits;
  let edgeState: readonly [isConnected: boolean, isLost: boolean] | undefined;

  const records = new OnDemand(async () => {
    const { Records } = await loaded(LOADS.records());
    return new Records(host);
  });
  const files = new OnDemand(async () => {
    const { Files } = await loaded(LOADS.files());
    return new Files(host, { edge, records: await records.get(), limits });
  });
  const feeds = new OnDemand(async () => {
    const { Feeds } = await loaded(LOADS.feeds());
    return new Feeds(host, await records.get());
  });
  const compute = new OnDemand(async () => {
    const { Compute } = await loaded(LOADS.compute());
    return new Compute(host, await records.get());
  });
  const rpc = new OnDemand(async () => {
    const { Rpc } = await loaded(LOADS.rpc());
    return new Rpc(host);
  });
  const search = new OnDemand(async () => {
    const { Search } = await loaded(LOADS.search());
    const parts = { files: await files.get(), records: await records.get() };
    const made = new Search({ ...context.search, ...parts, host, edge });
    if (edgeState !== undefined) made.edgeChanged(...edgeState);
    return made;
  });

  const topics = new OnDemand(async () => {
    const { Topics } = await loaded(LOADS.topics());
    const made = new Topics({ host, records: await records.get(), release: (each) => context.release(each) });
    for (const session of host.sessions()) made.met(session);
    return made;
  });

  /** The service answers by itself from the moment it is here; the first streams wait for it. */
  const answer = (protocol: string, load: () => Promise<unknown>): (() => void) => {
    const stop = host.handle(protocol, async (stream, session) => {
      await load();
      stop();
      const handler = context.handlerOf(protocol);
      if (handler === undefined) stream.reset("stream/no-handler");
      else await handler(stream, session);
    });
    return stop;
  };
  answer(ANSWERED_ON_DEMAND.files, () => files.get());
  answer(ANSWERED_ON_DEMAND.search, () => search.get());
  answer(ANSWERED_ON_DEMAND.topics, () => topics.get());

  return {
    files: {
      share: async (what, options) => {
        const made = await files.get();
        // It announces what is listed.
        if (options?.listed !== false) await search.get();
        return made.share(what, options);
      },
      get: (ticket, options) =>
        new LaterDownload(ticketOf(host.network, ticket), options ?? {}, async (withSignal) =>
          (await files.get()).get(ticket, withSignal),
        ),
      limit: (changed) => {
        checkLimits(changed);
        limits = changed;
        files.made?.limit(changed);
      },
      shares: () => files.made?.shares() ?? [],
    },
    records: {
      get kept() {
        return records.made?.kept ?? 0;
      },
      get refused() {
        return records.made?.refused ?? 0;
      },
      put: async (...call) => (await records.get()).put(...call),
      store: async (...call) => (await records.get()).store(...call),
      set: async (...call) => (await records.get()).set(...call),
      get: async (...call) => (await records.get()).get(...call),
      find: async (...call) => (await records.get()).find(...call),
      provide: async (...call) => (await records.get()).provide(...call),
      providers: async (...call) => (await records.get()).providers(...call),
    },
    feeds: new LaterFeeds(feeds),
    compute: {
      work: async (options) => (await compute.get()).work(options),
      map: (module, inputs, options) => {
        const copy = module.slice(0);
        return new LaterComputation(async () => (await compute.get()).map(copy, inputs, options));
      },
    },
    ports: {
      expose: () => {
        throw noSockets();
      },
      forward: () => Promise.reject(noSockets()),
    },
    rpc: new LaterRpc(host, rpc, answer),
    topics: {
      topic: (name, options) => new LaterTopic(name, async () => (await topics.get()).topic(name, options)),
      met: (session) => topics.made?.met(session),
      status: () => topics.made?.status() ?? [],
    },
    search: {
      search: async function* (text, options) {
        yield* (await search.get()).search(text, options);
      },
      linked: (session: Session) => search.made?.linked(session),
      edgeChanged: (isConnected, isLost) => {
        edgeState = [isConnected, isLost];
        search.made?.edgeChanged(isConnected, isLost);
      },
    },
    start: (mesh) => {
      records
        .get()
        .then((made) => made.start(mesh))
        .catch((error: unknown) => host.runtime.log.warn("no records kept", { error: String(error) }));
    },
    close: async () => {
      await rpc.close((made) => made.close());
      await topics.close((made) => made.close());
      await search.close((made) => made.close());
      await files.close((made) => made.close());
      await feeds.close((made) => made.close());
      await compute.close((made) => made.close());
    },
    end: () => void records.close((made) => made.close()),
  };
}

function noSockets(): PeerloomError {
  return new PeerloomError(
    "usage/invalid",
    "A page has no sockets: expose and forward ports from Node or Deno.",
  );
}
