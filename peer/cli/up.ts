/** `up`: runs a peer that others can reach, and says who is connected and how. */
import type { ErrorCode } from "../../shared/errors.ts";
import type { Session } from "../session/contract.ts";
import type { Command } from "./command.ts";
import { untilStopped, withPeer } from "./with-peer.ts";

export const up: Command = {
  name: "up",
  synopsis: "",
  summary: "run a peer until it is stopped; others can reach it by its id",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  serves: true,
  run: (context) => {
    const { output, signal } = context;
    const onPath = (session: Session, ended?: ErrorCode): void => {
      const { kind, transport, why } = session.path;
      // Without a text: people are told by the note that every command gives.
      output.result({
        event: "peer",
        id: session.peerId,
        path: session.closed ? "none" : kind,
        transport: session.closed ? "none" : transport,
        why,
        ...(ended === undefined ? {} : { code: ended }),
      });
    };
    return withPeer(context, { role: "owner", onPath }, async (peer) => {
      const edge = peer.edge ?? null;
      output.result(
        { event: "ready", id: peer.id, edge, listen: peer.listenAddresses },
        [
          `id       ${peer.id}`,
          `edge     ${edge ?? "none"}`,
          `network  ${peer.network}`,
          `listens  ${peer.listenAddresses.join(" ") || "no (give --listen HOST:PORT)"}`,
        ].join("\n"),
      );
      output.note("Running. Stop it with Ctrl-C.");
      await untilStopped(signal);
    });
  },
};
