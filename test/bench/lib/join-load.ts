/** A process that holds many cheap sockets at a rendezvous. Told what to do by IPC. */
import { PeerloomError } from "../../../shared/errors.ts";
import { JoinClient } from "./join-client.ts";
import type { LoadOperations } from "./join-operations.ts";
import { answerCalls, type Handlers } from "./remote.ts";

const clients: JoinClient[] = [];
const joinsMs: number[] = [];
const dialsMs: number[] = [];
let timedOut = 0;
let isComingBack = false;

const events = {
  joined: (atMs: number): void => {
    if (isComingBack) joinsMs.push(atMs);
  },
  dialled: (atMs: number): void => {
    if (isComingBack) dialsMs.push(atMs);
  },
  timedOut: (): void => {
    timedOut += 1;
  },
};

const handlers: Handlers<LoadOperations> = {
  async open({ edge, network, count, atOnce }) {
    const tookMs: number[] = [];
    const membersTold: number[] = [];
    const refused: Record<string, number> = {};
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next++ < count) {
        const client = new JoinClient(network, events);
        const startMs = performance.now();
        try {
          membersTold.push(await client.join(edge));
          tookMs.push(performance.now() - startMs);
          clients.push(client);
        } catch (error) {
          const why = error instanceof PeerloomError ? error.message : String(error);
          refused[why] = (refused[why] ?? 0) + 1;
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    return { tookMs, membersTold, refused };
  },
  async comeBack({ edge }) {
    isComingBack = true;
    for (const client of clients) client.comeBack(edge);
    return null;
  },
  async forget() {
    joinsMs.length = 0;
    dialsMs.length = 0;
    timedOut = 0;
    return null;
  },
  async returns() {
    return { joined: clients.filter(({ isJoined }) => isJoined).length, dialsMs, joinsMs, timedOut };
  },
  async close() {
    for (const client of clients.splice(0)) client.close();
    return null;
  },
};

answerCalls<LoadOperations>(handlers, async () => {
  for (const client of clients.splice(0)) client.close();
});
