import { once } from "node:events";
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { collect, counting, flipping, type Stage, stoppingAfter, throttling } from "./body-stages.ts";
import type { Answer, Fault, Refusal } from "./fault.ts";
import type { S3Call } from "./s3-call.ts";
import type { S3Store } from "./s3-store.ts";

/** What the proxy remembers of a request. Nothing in it lets anybody sign or repeat one. */
export interface Exchange extends S3Call {
  /** Counted from 1 in the order of arrival. */
  readonly at: number;
  /** Without what proves or gives access. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly fault: Fault["kind"] | undefined;
  /** How many other requests had begun and not ended. */
  readonly others: number;
  /** Bytes of the body that came from the client. */
  received: number;
  /** Bytes of the body that were sent to the client. */
  sent: number;
  /** What the store said; undefined where it was not asked or did not answer. */
  storeStatus: number | undefined;
  /** What the client was told; undefined where it was told nothing. */
  status: number | undefined;
  /** Why the exchange broke off, where it did. */
  trouble: string | undefined;
  ended: boolean;
}

/** The two ends between which an exchange goes on, and its entry in the record. */
export interface Ends {
  readonly client: IncomingMessage;
  readonly reply: ServerResponse;
  readonly socket: Socket;
  /** Aborted when the client's connection has ended. */
  readonly gone: AbortSignal;
  readonly entry: Exchange;
  readonly store: S3Store;
}

function errorXml({ code, message = code }: Refusal): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
}

/** Where in a body something happens: as given, else in its middle. */
function place(message: IncomingMessage, given: number | undefined): number {
  return given ?? Math.floor(Number(message.headers["content-length"] ?? 0) / 2);
}

/** Moves a range, such as `bytes=0-9` or `bytes 0-9/100`. */
function shifted(range: string, shift: number): string {
  return range.replace(/(\d+)-(\d+)/, (_, first, last) => `${Number(first) + shift}-${Number(last) + shift}`);
}

/** The headers of an answer that is sent on with another body. */
function headersOf(message: IncomingMessage): Record<string, string> {
  const { "transfer-encoding": _framing, connection: _hop, "keep-alive": _hint, ...kept } = message.headers;
  return Object.fromEntries(Object.entries(kept).map(([name, value]) => [name, [value].flat().join(", ")]));
}

function incoming({ client, entry }: Ends): AsyncIterable<Buffer> {
  const count = counting((bytes) => {
    entry.received += bytes;
  });
  return count(client);
}

function outgoing({ entry }: Ends): Stage {
  return counting((bytes) => {
    entry.sent += bytes;
  });
}

function reset({ socket }: Ends): void {
  socket.resetAndDestroy();
}

/** Says nothing more until the client goes. */
async function silence({ gone }: Ends): Promise<void> {
  if (!gone.aborted) await once(gone, "abort");
}

/** Sends an answer of our own, or one of the store's that was changed. */
async function say(ends: Ends, answer: Answer): Promise<void> {
  const { reply, entry } = ends;
  entry.status = answer.status;
  reply.writeHead(answer.status, { ...answer.headers, "content-length": String(answer.body.length) });
  const body = entry.method === "HEAD" ? Buffer.alloc(0) : answer.body;
  entry.sent += body.length;
  reply.end(body);
  await finished(reply);
}

async function refuse(ends: Ends, refusal: Refusal, status: number = refusal.status): Promise<void> {
  const headers: Record<string, string> = { "content-type": "application/xml" };
  if (refusal.retryAfter !== undefined) headers["retry-after"] = String(refusal.retryAfter);
  await say(ends, { status, headers, body: Buffer.from(errorXml(refusal)) });
}

/** What happens to the body on its way to the store. */
function stageUp(ends: Ends, fault: Fault | undefined): Stage | undefined {
  if (fault?.kind === "flip-upload") return flipping(place(ends.client, fault.atByte));
  if (fault?.kind === "slow" && fault.direction === "up") return throttling(fault.bytesPerSecond, ends.gone);
  return undefined;
}

/** Headers in their order and writing, without those that are about the connection and not about the message. */
function endToEnd({ rawHeaders }: IncomingMessage): string[] {
  const kept: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (!/^(connection|keep-alive|expect)$/i.test(name)) kept.push(name, value);
  }
  return kept;
}

/**
 * Sends the request on as it came, the Host that was signed included; answers with the store's answer. The body is taken in
 * whole first and sent with keep-alive and without Expect (the proxy itself has answered that): only so does radosgw read the
 * rest of a body that it refuses, and else its answer becomes a reset by chance, a fault that nobody asked for. Each request has a connection of its own all the same,
 * since a kept one may be closed by the store just when it is used again.
 */
async function forward(ends: Ends, fault: Fault | undefined): Promise<IncomingMessage> {
  const { client, entry, store } = ends;
  const stage = stageUp(ends, fault);
  const body = await collect(stage === undefined ? incoming(ends) : stage(incoming(ends)));
  const { hostname, port } = new URL(store.facts.endpoint);
  const headers = [...endToEnd(client), "Connection", "keep-alive"];
  const upstream = request({
    host: hostname,
    port,
    method: entry.method,
    path: client.url,
    headers,
    agent: false,
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    upstream.once("response", resolve);
    upstream.once("error", reject);
  });
  upstream.end(body);
  const answer = await answered;
  entry.storeStatus = answer.statusCode;
  return answer;
}

/** Sends the store's answer on as it comes, its body through `stage`. */
async function relay(ends: Ends, answer: IncomingMessage, stage?: Stage, length?: number): Promise<void> {
  const { reply, entry } = ends;
  const status = answer.statusCode ?? 502;
  entry.status = status;
  if (length === undefined) reply.writeHead(status, endToEnd(answer));
  else reply.writeHead(status, { ...headersOf(answer), "content-length": String(length) });
  reply.flushHeaders();
  const body: AsyncIterable<Buffer> = answer;
  await pipeline(Readable.from(stage === undefined ? body : stage(body)), outgoing(ends), reply);
}

/** Reads the store's answer in whole, has it changed and sends it. */
async function change(ends: Ends, answer: IncomingMessage, by: (answer: Answer) => void): Promise<void> {
  const whole = { status: answer.statusCode ?? 502, headers: headersOf(answer), body: await collect(answer) };
  by(whole);
  await say(ends, whole);
}

/** Asks the store itself for the object, since the client's request is signed with its Range. */
async function sendFromStore(ends: Ends, shift?: number): Promise<void> {
  const { entry, store } = ends;
  const Range = shift === undefined ? undefined : shifted(entry.range ?? "bytes=0-0", shift);
  const object = { Bucket: entry.bucket, Key: entry.key };
  const found = await store.client.send(new GetObjectCommand({ ...object, ...(Range && { Range }) }));
  const body = Buffer.from((await found.Body?.transformToByteArray()) ?? []);
  entry.storeStatus = found.$metadata.httpStatusCode;
  const headers: Record<string, string> = { etag: found.ETag ?? "", "accept-ranges": "bytes" };
  if (found.ContentRange !== undefined) headers["content-range"] = found.ContentRange;
  await say(ends, { status: shift === undefined ? 200 : 206, headers, body });
}

/** Faults for which the store is not asked; false where it must be. */
async function withoutStore(ends: Ends, fault: Fault | undefined): Promise<boolean> {
  const takeBody = async (stage?: Stage) => {
    await collect(stage === undefined ? incoming(ends) : stage(incoming(ends)));
  };
  switch (fault?.kind) {
    case "reset":
      if (fault.when === "mid-response") return false;
      if (fault.when === "before-response") await takeBody();
      if (fault.when === "mid-request")
        await takeBody(stoppingAfter(place(ends.client, fault.afterBytes), () => reset(ends)));
      reset(ends);
      return true;
    case "black-hole":
      await takeBody();
      await silence(ends);
      return true;
    case "stall-upload":
      await takeBody(stoppingAfter(place(ends.client, fault.afterBytes), () => silence(ends)));
      return true;
    case "refuse":
      if (fault.early === true) ends.reply.setHeader("connection", "close");
      else await takeBody();
      await refuse(ends, fault.refusal);
      return true;
    case "error-inside-200":
    case "empty-answer":
      if (fault.executed) return false;
      await takeBody();
      if (fault.kind === "error-inside-200") await refuse(ends, fault.refusal, 200);
      else await say(ends, { status: 200, headers: {}, body: Buffer.alloc(0) });
      return true;
    case "whole-for-range":
      await sendFromStore(ends);
      return true;
    case "other-range":
      await sendFromStore(ends, fault.shift);
      return true;
    default:
      return false;
  }
}

/** Gives the client what the fault leaves of the store's answer. */
async function answerWith(ends: Ends, answer: IncomingMessage, fault: Fault | undefined): Promise<void> {
  switch (fault?.kind) {
    case "drop-reply":
      await collect(answer);
      ends.socket.destroy();
      return;
    case "refuse-after-success":
      await collect(answer);
      return await refuse(ends, fault.refusal);
    case "error-inside-200":
      await collect(answer);
      return await refuse(ends, fault.refusal, 200);
    case "empty-answer":
      await collect(answer);
      return await say(ends, { status: 200, headers: {}, body: Buffer.alloc(0) });
    case "rewrite":
      return await change(ends, answer, fault.change);
    case "wrong-content-range":
      return await change(ends, answer, ({ headers }) => {
        headers["content-range"] = shifted(headers["content-range"] ?? "bytes 0-0/1", fault.shift);
      });
    case "flip-download":
      return await relay(ends, answer, flipping(place(answer, fault.atByte)));
    case "slow":
      return await relay(
        ends,
        answer,
        fault.direction === "down" ? throttling(fault.bytesPerSecond, ends.gone) : undefined,
      );
    case "stall-download":
      return await relay(
        ends,
        answer,
        stoppingAfter(place(answer, fault.afterBytes), () => silence(ends)),
      );
    case "truncate": {
      const bytes = place(answer, fault.afterBytes);
      if (fault.honest)
        return await relay(
          ends,
          answer,
          stoppingAfter(bytes, () => undefined),
          bytes,
        );
      return await relay(
        ends,
        answer,
        stoppingAfter(bytes, () => void ends.socket.end()),
      );
    }
    case "reset":
      if (fault.when !== "mid-response") return await relay(ends, answer);
      return await relay(
        ends,
        answer,
        stoppingAfter(place(answer, fault.afterBytes), () => reset(ends)),
      );
    default:
      return await relay(ends, answer);
  }
}

/** Carries one request to the store and its answer back, with one fault or none. */
export async function exchange(ends: Ends, fault: Fault | undefined): Promise<void> {
  if (await withoutStore(ends, fault)) return;
  await answerWith(ends, await forward(ends, fault), fault);
}
