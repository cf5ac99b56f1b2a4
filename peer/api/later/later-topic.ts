/** A topic whose code is still on its way. It is joined when the code is here, whatever is asked of it first. */
import type { PeerId } from "../../../shared/ids.ts";
import type {
  AskOptions,
  TopicMessage,
  TopicReply,
  TopicStatus,
} from "../../services/topics/topic-options.ts";
import type { Topic } from "../parts.ts";

export class LaterTopic extends EventTarget implements Topic {
  readonly name: string;
  readonly #joining: Promise<Topic>;
  #topic: Topic | undefined;

  constructor(name: string, join: () => Promise<Topic>) {
    super();
    this.name = name;
    this.#joining = join().then((topic) => {
      this.#topic = topic;
      topic.addEventListener("peers", () => this.dispatchEvent(new Event("peers")));
      return topic;
    });
    this.#joining.catch(() => {}); // Whatever is done with it says it.
  }

  get peers(): readonly PeerId[] {
    return this.#topic?.peers ?? [];
  }

  get missed(): number {
    return this.#topic?.missed ?? 0;
  }

  status(): TopicStatus {
    const { name } = this;
    return (
      this.#topic?.status() ?? {
        name,
        peers: 0,
        mesh: 0,
        published: 0,
        delivered: 0,
        duplicates: 0,
        refused: 0,
      }
    );
  }

  async publish(...call: Parameters<Topic["publish"]>): Promise<number> {
    return (await this.#joining).publish(...call);
  }

  async *ask(
    question: Parameters<Topic["ask"]>[0],
    options?: AskOptions,
  ): AsyncGenerator<TopicReply, void, undefined> {
    yield* (await this.#joining).ask(question, options);
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<TopicMessage, void> {
    yield* await this.#joining;
  }

  async close(): Promise<void> {
    const topic = await this.#joining.catch(() => undefined);
    await topic?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
