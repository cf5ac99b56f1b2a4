/** A WebSocket by hand, for those who do not answer a close, do not read, or stop half-way. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A binary message of one byte, masked with zeros. */
const TINY = Buffer.from([0x82, 0x81, 0, 0, 0, 0, 1]);

export class RawSocket {
  readonly socket: Socket;
  received = 0;

  constructor(edge: string, path: string, address: string, isComplete = true) {
    const { host, port } = new URL(edge);
    this.socket = connect(Number(port), "127.0.0.1");
    this.socket.on("error", () => {});
    const head = [
      `GET ${path} HTTP/1.1`,
      `Host: ${host}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      `CF-Connecting-IP: ${address}`,
    ];
    this.socket.write(`${head.join("\r\n")}${isComplete ? "\r\n\r\n" : "\r\nX-Slow: "}`);
  }

  /** Resolves when the first bytes have come. @returns the status of the answer */
  async opened(): Promise<number> {
    const [first] = (await once(this.socket, "data")) as [Buffer];
    this.socket.resume();
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(first.toString("latin1"))?.[1] ?? 0);
  }

  /** Sends so many tiny messages, whatever is answered. @returns how many it could */
  async flood(count: number): Promise<number> {
    let sent = 0;
    while (sent < count && !this.socket.destroyed) {
      this.socket.write(TINY);
      sent += 1;
      // Ten a turn, so that the other side's answers are seen in between.
      if (sent % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return sent;
  }

  close(): void {
    this.socket.destroy();
  }
}
