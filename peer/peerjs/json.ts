/** Strangers' JSON: as deep as is allowed and no deeper, so that whoever walks what comes of it can recurse. */
import { PeerloomError } from "../../shared/errors.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const ARRAY = 0x5b;
const ARRAY_END = 0x5d;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;

export interface ParsedJson {
  readonly value: unknown;
  /** Values in it, roughly; never fewer than there are objects and arrays. */
  readonly items: number;
}

/** @throws PeerloomError `wire/malformed` */
export function parseJson(text: string, depthMax: number): ParsedJson {
  const items = countItems(text, depthMax);
  try {
    return { value: JSON.parse(text) as unknown, items };
  } catch (cause) {
    throw malformed("it cannot be parsed", cause);
  }
}

function countItems(text: string, depthMax: number): number {
  let items = 1;
  let depth = 0;
  let isText = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (isText) {
      if (unit === BACKSLASH) i += 1;
      else if (unit === QUOTE) isText = false;
    } else if (unit === QUOTE) isText = true;
    else if (unit === COMMA) items += 1;
    else if (unit === ARRAY || unit === OBJECT) {
      items += 1;
      depth += 1;
      if (depth > depthMax) throw malformed(`it is deeper than ${depthMax}`);
    } else if (unit === ARRAY_END || unit === OBJECT_END) depth -= 1;
  }
  return items;
}

function malformed(what: string, cause?: unknown): PeerloomError {
  return new PeerloomError("wire/malformed", `That is no JSON that is taken here: ${what}.`, { cause });
}
