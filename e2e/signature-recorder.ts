import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";

const SIGNATURE = /Signature=([0-9a-f]{64})/g;

/** Stands before a store and remembers the signature of every request, which neither the proxy's record nor the program may hold. */
export class SignatureRecorder {
  readonly endpoint: string;
  readonly signatures = new Set<string>();
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  static async open(target: string): Promise<SignatureRecorder> {
    const { hostname, port } = new URL(target);
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the recorder has no port");
    const recorder = new SignatureRecorder(server, address.port);
    server.on("connection", (client) => {
      const upstream = connect(Number(port), hostname);
      let end = "";
      client.on("data", (bytes: Buffer) => {
        const text = end + bytes.toString("latin1");
        for (const [, signature = ""] of text.matchAll(SIGNATURE)) recorder.signatures.add(signature);
        end = text.slice(-100);
      });
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        from.on("error", () => to.destroy());
        from.on("close", () => to.destroy());
        from.pipe(to);
      }
    });
    return recorder;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }
}
