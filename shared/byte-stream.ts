/** Streams of bytes for hosts with and without the kind that the standard has for them. */

/**
 * A readable byte stream (https://streams.spec.whatwg.org/#rbs); where the host has none, as Safari before 26.4, a plain one that gives the
 * same chunks to default readers. Nothing is pulled before somebody reads.
 */
export function byteStream(source: UnderlyingByteSource): ReadableStream<Uint8Array> {
  if ("ReadableByteStreamController" in globalThis) return new ReadableStream(source);
  const plain = { ...source, type: undefined } as unknown as UnderlyingDefaultSource<Uint8Array>;
  return new ReadableStream(plain, { highWaterMark: 0 });
}
