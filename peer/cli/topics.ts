/** `pub` and `sub`: say something to all who listen to a topic, and listen. */
import { short } from "../../shared/ids.ts";
import { counted } from "../api/quantities.ts";
import { PAST_MAX } from "../services/topics/protocol.ts";
import { RATE_MAX, TOPIC_DEFAULTS } from "../services/topics/topic-options.ts";
import type { Command, CommandContext } from "./command.ts";
import type { CliTopic } from "./peer-contract.ts";
import { printed, shown } from "./value-output.ts";
import { withPeer } from "./with-peer.ts";

/** How long `pub` waits for somebody who listens. */
const WAIT_SECONDS = 10;
const WAIT_SECONDS_MAX = 600;

const RATE_OPTION = {
  type: "string",
  value: "N",
  help: `messages a second of one publisher at most; the same at all; default: ${TOPIC_DEFAULTS.rate}`,
} as const;

export const pub: Command = {
  name: "pub",
  synopsis: "TOPIC [TEXT]",
  summary: "publish a text to all who listen to a topic; without one, each line of standard input",
  positionalsMin: 1,
  positionalsMax: 2,
  options: {
    wait: {
      type: "string",
      value: "SECONDS",
      help: `for somebody who listens, before the first is published; default: ${WAIT_SECONDS}`,
    },
    rate: RATE_OPTION,
  },
  serves: false,
  run: async (context) => {
    const { positionals, values, output, host, signal } = context;
    const [name = "", text] = positionals;
    const waitMs = 1_000 * values.integer("wait", { min: 0, max: WAIT_SECONDS_MAX, default: WAIT_SECONDS });
    const rate = rateOf(context);
    output.note("Connecting …");
    await withPeer(context, { role: "any" }, async (peer) => {
      const topic = peer.topic(name, { rate });
      output.note(`Looking for those who listen to ${name} …`);
      await somebody(topic, waitMs, signal);
      for await (const line of text === undefined ? host.readLines() : [text]) {
        const peers = await topic.publish(line, { signal });
        output.result({ event: "published", topic: name, peers });
        output.note(
          peers === 0
            ? "Published, and nobody listens. Is it the right network?"
            : `Published to ${counted(peers, "peer")}, who pass it on.`,
        );
      }
      await topic.close();
    });
  },
};

export const sub: Command = {
  name: "sub",
  synopsis: "TOPIC",
  summary: "print what is published to a topic, until it is stopped; passes it on to others meanwhile",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {
    history: {
      type: "string",
      value: "N",
      help: "begin with so many past messages, as neighbours have them",
    },
    ordered: { type: "boolean", help: "print what one peer published in its order" },
    count: { type: "string", value: "N", help: "end after so many messages" },
    rate: RATE_OPTION,
  },
  serves: true,
  run: async (context) => {
    const { positionals, values, output } = context;
    const [name = ""] = positionals;
    const history = values.integer("history", { min: 0, max: PAST_MAX, default: 0 });
    const order = values.flag("ordered") ? "sender" : "none";
    const unlimited = Number.MAX_SAFE_INTEGER;
    let left = values.integer("count", { min: 1, max: unlimited, default: unlimited });
    const rate = rateOf(context);
    output.note("Connecting …");
    await withPeer(context, { role: "any" }, async (peer) => {
      const topic = peer.topic(name, { history, order, rate });
      output.result({ event: "subscribed", topic: name });
      output.note(`Listening to ${name}. Stop it with Ctrl-C.`);
      let missed = 0;
      for await (const { from, value, isPast } of topic) {
        const count = topic.missed - missed;
        missed += count;
        if (count > 0) output.result({ event: "missed", topic: name, count }, `${count} missed`);
        const past = isPast ? { past: true } : {};
        output.result(
          { event: "message", topic: name, from, ...shown(value), ...past },
          `${short(from)}  ${printed(value)}`,
        );
        if (--left === 0) break;
      }
      await topic.close();
    });
    return "done";
  },
};

function rateOf({ values }: CommandContext): number {
  return values.integer("rate", { min: 1, max: RATE_MAX, default: TOPIC_DEFAULTS.rate });
}

/** Resolves when a neighbour is in the topic, or time is over. */
async function somebody(topic: CliTopic, waitMs: number, signal: AbortSignal): Promise<void> {
  if (topic.peers.length > 0) return;
  const late = AbortSignal.any([signal, AbortSignal.timeout(waitMs)]);
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (topic.peers.length === 0 && !late.aborted) return;
      topic.removeEventListener("peers", look);
      late.removeEventListener("abort", look);
      resolve();
    };
    topic.addEventListener("peers", look);
    late.addEventListener("abort", look);
    look();
  });
}
