/** Streams of bytes for hosts with and without the kind that the standard has for them. */

/**
 * A readable byte stream (https://streams.spec.whatwg.org/#rbs); where the host has none, as Safari before 26.4, a plain one that gives the
 * same chunks to default readers. Nothing is pulled before somebody reads.
 */
export function byteStream(source: Omit<UnderlyingByteSource, "type">): ReadableStream<Uint8Array> {
  const type = "ReadableByteStreamController" in globalThis ? "bytes" : undefined;
  return new ReadableStream({ ...source, type } as UnderlyingByteSource, { highWaterMark: 0 });
}
