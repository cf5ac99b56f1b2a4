/** What tests of diagnoses begin with, in this process and in pages: a STUN server of this machine, and what was found in short. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { Finding } from "../../peer/api/diagnosis/finding.ts";
import { answerStun } from "../natlab/stun-responder.ts";

export interface StunServer {
  /** `HOST:PORT`, on loopback. */
  readonly place: string;
  close(): void;
}

/** @param portFor the port that it says a request came from, if it answers at all; by default the one that it did come from */
export async function startStunServer(
  portFor: (port: number) => number | undefined = (port) => port,
): Promise<StunServer> {
  const socket = createSocket("udp4");
  socket.on("message", (message, { address, port }) => {
    const seen = portFor(port);
    const answer = seen === undefined ? undefined : answerStun(message, { address, port: seen });
    if (answer !== undefined) socket.send(answer, port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { place: `127.0.0.1:${socket.address().port}`, close: () => void socket.close() };
}

/** Each check by its name, and the verdict. */
export async function all(
  findings: AsyncIterable<Finding> | Iterable<Finding>,
): Promise<{ code: string; advice: string; ok: Record<string, boolean | null> }> {
  const ok: Record<string, boolean | null> = {};
  let [code, advice] = ["", ""];
  for await (const finding of findings) {
    if (finding.kind === "check") ok[finding.name] = finding.ok;
    else ({ code, advice } = finding);
  }
  return { code, advice, ok };
}
