/** What a peer answers to requests that end with it, and to those for its service that pass. */
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type LinkTable, SIBLINGS } from "./link-table.ts";
import type { Merger } from "./merger.ts";
import { BODY_BYTES_MAX, type Forward } from "./mesh-messages.ts";
import type { MeshKey } from "./mesh-key.ts";
import type { MeshService } from "./mesh-service.ts";
import { ASK, ASK_MAX, BODY_LIMITS } from "./requests.ts";

/** Of a contact in a list, beside its bytes. */
const CONTACT_FRAMING_BYTES = 16;

type Reply = (body: Uint8Array) => void;

export interface AnswersOptions {
  readonly own: MeshKey;
  readonly table: LinkTable;
  readonly merger: Pick<Merger, "serve">;
  /** How others reach this peer. */
  contact(): Uint8Array;
  service(): MeshService | undefined;
  /** Somebody's message to this peer. */
  deliver(body: Uint8Array, from: MeshKey, answer: Reply): void;
  /** A newcomer that belongs here is on its way. */
  expect(key: MeshKey): void;
}

export class Answers {
  readonly #options: AnswersOptions;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /**
   * Answers once at most, now or later.
   * @param ends nobody closer is known
   * @returns whether it is answered here; malformed ones are not
   */
  serve(request: Forward, ends: boolean, answer: Reply): boolean {
    const { table, merger, deliver, expect } = this.#options;
    const { target, exact, origin } = request;
    try {
      const fields = new FieldReader(decode(request.body, BODY_LIMITS), "request");
      const ask = fields.integer(0, ASK_MAX);
      if (ask === ASK.service) return this.#serveKey(request, fields.bytes(0, BODY_BYTES_MAX), ends, answer);
      if (!ends) return false;
      if (ask >= ASK.meet) return merger.serve(ask, fields, request, answer);
      if (ask === ASK.deliver) {
        if (!exact) return false;
        deliver(fields.bytes(0, BODY_BYTES_MAX), origin, answer);
      } else if (ask === ASK.closestKeys)
        answer(encode(table.closest(target, SIBLINGS).map(({ key }) => key)));
      else {
        if (fields.hasMore && fields.boolean()) expect(target);
        answer(this.#closestTo(target));
      }
      return true;
    } catch (error) {
      if (error instanceof PeerloomError) return false;
      throw error;
    }
  }

  #serveKey(
    { target, exact, path, origin }: Forward,
    body: Uint8Array,
    ends: boolean,
    answer: Reply,
  ): boolean {
    const service = this.#options.service();
    if (exact || service === undefined) return false;
    return service.serve({ target, body, ends, from: path.at(-1), origin }, answer);
  }

  #closestTo(target: MeshKey): Uint8Array {
    const { own, table, contact } = this.#options;
    const others = table.closest(target, SIBLINGS).map(({ key, link }) => [key, link.contact] as const);
    let room = BODY_BYTES_MAX - CONTACT_FRAMING_BYTES;
    const fitting = [[own, contact()] as const, ...others].filter(([, { length }]) => {
      room -= length + CONTACT_FRAMING_BYTES;
      return room > 0;
    });
    return encode([fitting]);
  }
}
