/** `expose` and `forward`: a TCP port of one machine, reachable on another. */
import { PeerloomError } from "../../shared/errors.ts";
import { parsePeerId, short } from "../../shared/ids.ts";
import type { PortConnection } from "../services/ports/connection.ts";
import { isTarget } from "../services/ports/protocol.ts";
import type { Command, CommandContext } from "./command.ts";
import { untilStopped, withPeer } from "./with-peer.ts";

export const expose: Command = {
  name: "expose",
  synopsis: "PORT",
  summary: "let other peers connect to a TCP port of this machine, until it is stopped",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {
    host: { type: "string", value: "HOST", help: "where the program listens; default: 127.0.0.1" },
    allow: {
      type: "string",
      multiple: true,
      value: "ID",
      help: "a peer that may connect; may be repeated, or several with commas",
    },
    public: { type: "boolean", help: "every peer of the network may connect" },
    name: { type: "string", value: "NAME", help: "others may ask for it by this name too" },
  },
  serves: true,
  run: async (context) => {
    const { positionals, values, output, signal } = context;
    const [text = ""] = positionals;
    const host = values.text("host");
    const name = values.text("name");
    const options = {
      allow: values.list("allow").flatMap((ids) => ids.split(",")),
      public: values.flag("public"),
      ...(host === undefined ? {} : { host }),
      ...(name === undefined ? {} : { name }),
    };
    const wrongId = options.allow.find((id) => parsePeerId(id) === undefined);
    if (wrongId !== undefined) throw usage(`--allow takes a peer id, not "${wrongId.slice(0, 60)}".`);
    if (options.public === options.allow.length > 0)
      throw usage(
        "Say who may connect: --allow ID (peerloom id prints it), or --public for every peer of the network.",
      );
    if (!/^\d{1,5}$/.test(text)) throw usage(`"${text.slice(0, 60)}" is no port.`);
    await withPeer(context, { role: "owner" }, async (peer) => {
      const exposure = peer.ports.expose(Number(text), options);
      tellConnections(exposure, context);
      const target = `${peer.id}/${name ?? exposure.port}`;
      output.note(`Exposed. On the other machine:`);
      output.result(
        {
          event: "ready",
          id: peer.id,
          port: exposure.port,
          name: name ?? null,
          listen: peer.listenAddresses,
        },
        `peerloom forward ${target}`,
      );
      await untilStopped(signal);
    });
  },
};

export const forward: Command = {
  name: "forward",
  synopsis: "ID/PORT|ID/NAME",
  summary: "take connections here and carry them to a port that a peer exposes",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {
    listen: {
      type: "string",
      value: "HOST:PORT",
      help: "where; default: 127.0.0.1 and a port that the system chooses",
    },
  },
  serves: true,
  run: async (context) => {
    const { positionals, values, output, signal, options } = context;
    const [text = ""] = positionals;
    const slash = text.indexOf("/");
    const [id, target] = [text.slice(0, Math.max(slash, 0)), text.slice(slash + 1)];
    if (parsePeerId(id) === undefined || !isTarget(target))
      throw usage(`"${text.slice(0, 120)}" is not ID/PORT or ID/NAME, as peerloom expose prints it.`);
    const listen = values.text("listen");
    // The option is this command's here, not the peer's.
    const own = { ...context, options: { ...options, listen: undefined } };
    await withPeer(own, { role: "owner" }, async (peer) => {
      output.note("Connecting …");
      const forwarded = await peer.ports.forward(id, target, {
        signal,
        ...(listen === undefined ? {} : { listen }),
      });
      tellConnections(forwarded, context);
      output.result(
        { event: "ready", id: peer.id, to: id, target, listen: forwarded.listen },
        forwarded.listen,
      );
      output.note(
        `Connections to ${forwarded.listen} go to ${short(forwarded.peerId)}, ${target}. Stop it with Ctrl-C.`,
      );
      await untilStopped(signal);
    });
  },
};

function tellConnections(connections: EventTarget, { output }: CommandContext): void {
  const tell = (event: Event): void => {
    const { number, peerId, code } = (event as CustomEvent<PortConnection>).detail;
    const isOpen = event.type === "connection";
    const words = isOpen ? "open" : code === undefined ? "closed" : `ended: ${code}`;
    output.note(`connection ${number} with ${short(peerId)}: ${words}`, {
      event: isOpen ? "connection" : "disconnection",
      number,
      id: peerId,
      ...(code === undefined ? {} : { code }),
    });
  };
  connections.addEventListener("connection", tell);
  connections.addEventListener("end", tell);
}

function usage(message: string): PeerloomError {
  return new PeerloomError("usage/invalid", message);
}
