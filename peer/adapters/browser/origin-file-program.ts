/** What runs beside a page for a file of its origin: only there can be read again what was written and is not closed (https://fs.spec.whatwg.org). */

export interface OriginFilePlace {
  readonly folder: string;
  readonly name: string;
  /** A Web Lock of its writer's. */
  readonly lock: string;
  /** For the lock: a page that was loaded again is not quite gone yet. */
  readonly waitMs: number;
}

export type OriginFileRequest =
  | { readonly kind: "open"; readonly place: OriginFilePlace }
  | { readonly kind: "read"; readonly offset: number; readonly bytes: number }
  | { readonly kind: "write"; readonly offset: number; readonly content: Uint8Array }
  | { readonly kind: "truncate"; readonly bytes: number }
  | { readonly kind: "close" };

export interface OriginFileAnswer {
  /** Of a DOMException; undefined: it is done. */
  readonly failure?: string;
  readonly why?: string;
  /** What was read, or could not be written. */
  readonly content?: Uint8Array;
  /** How many were read, or how long the file is. */
  readonly bytes?: number;
}

/** Not in TypeScript's library of pages. */
interface SyncAccessHandle {
  read(into: Uint8Array, options: { at: number }): number;
  write(content: Uint8Array, options: { at: number }): number;
  truncate(bytes: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** It is turned to text, so it may use nothing from outside its own braces. */
export function originFileProgram(): void {
  let handle: SyncAccessHandle;
  const open = async ({ folder, name, lock, waitMs }: OriginFilePlace): Promise<OriginFileAnswer> => {
    await new Promise<void>((resolve, reject) => {
      const signal = AbortSignal.timeout(waitMs);
      // Held until this worker is ended.
      const held = (): Promise<never> => {
        resolve();
        return new Promise(() => {});
      };
      navigator.locks.request(lock, { signal }, held).catch(reject);
    });
    const root = await navigator.storage.getDirectory();
    const file = await (await root.getDirectoryHandle(folder)).getFileHandle(name, { create: true });
    handle = await (
      file as unknown as { createSyncAccessHandle(): Promise<SyncAccessHandle> }
    ).createSyncAccessHandle();
    return { bytes: handle.getSize() };
  };
  const act = (request: OriginFileRequest): OriginFileAnswer | Promise<OriginFileAnswer> => {
    if (request.kind === "open") return open(request.place);
    if (request.kind === "read") {
      const content = new Uint8Array(request.bytes);
      return { content, bytes: handle.read(content, { at: request.offset }) };
    }
    if (request.kind === "write") {
      const { content, offset } = request;
      if (handle.write(content, { at: offset }) < content.length)
        throw new DOMException("not all was written", "QuotaExceededError");
      // Else a full garbage collection would.
      (content.buffer as ArrayBuffer).transfer(0);
    } else if (request.kind === "truncate") handle.truncate(request.bytes);
    else {
      handle.flush();
      handle.close();
    }
    return {};
  };
  const run = async (request: OriginFileRequest): Promise<void> => {
    let answer: OriginFileAnswer;
    try {
      answer = await act(request);
    } catch (error) {
      const { name, message } = error as Error;
      answer = { failure: name, why: message, ...(request.kind === "write" && { content: request.content }) };
    }
    postMessage(answer, { transfer: answer.content === undefined ? [] : [answer.content.buffer] });
  };
  addEventListener("message", ({ data }: MessageEvent<OriginFileRequest>) => void run(data));
}
