import type {
  $Command,
  S3Client,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from "@aws-sdk/client-s3";
import type { CancelSignal } from "../../src-contract/progress.ts";
import type { CredentialProvider } from "../credentials/store-credentials.ts";
import { throwIfCancelled } from "../failing.ts";
import { Connections } from "./s3-connections.ts";
import { Exchange, type ExchangePlan } from "./s3-exchange.ts";
import { requestFailure, StoreRefusal } from "./s3-failures.ts";
import type { Operation } from "./s3-operations.ts";
import type { Sdk } from "./s3-sdk.ts";
import { type S3Limits, type S3Settings, s3Location } from "./s3-settings.ts";

/** One request: what it is, for failures, and the SDK's command for it. */
export interface StoreRequest<I extends ServiceInputTypes, O extends ServiceOutputTypes>
  extends Pick<ExchangePlan, "body" | "onBytes" | "pace" | "ranged"> {
  readonly operation: Operation;
  /** As the vault's callers know it; absent for a request about the bucket. */
  readonly key?: string;
  readonly command: (
    sdk: Sdk,
  ) => $Command<I, O, S3ClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>;
  /** Headers beside those that the SDK knows of; signed as those. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Longest wait for the answer, in milliseconds; by default `answerMs` of the limits after a body, else `stallMs`. */
  readonly answerMs?: number;
  readonly signal?: CancelSignal | undefined;
}

/** Sends signed requests to one bucket, each once, over one agent. Every failure is a FailureError without a secret. */
export class StoreClient {
  readonly settings: S3Settings;
  readonly limits: S3Limits;
  /** Whether the bucket has answered a request with success: then it exists, and a 404 is about an object. */
  reached = false;
  readonly #credentials: CredentialProvider;
  readonly #connections = new Connections();
  #wantsMd5 = false;
  #client: Promise<{ readonly sdk: Sdk; readonly client: S3Client }> | null = null;

  constructor(settings: S3Settings, credentials: CredentialProvider, limits: S3Limits) {
    this.settings = settings;
    this.limits = limits;
    this.#credentials = credentials;
  }

  /** The answer, whole. */
  async send<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    request: StoreRequest<I, O>,
  ): Promise<O> {
    const { output, exchange } = await this.open(request);
    exchange.close();
    return output;
  }

  /** As `send`, for an answer whose body is a stream: `exchange` tells what ended it, and is to be closed. */
  async open<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    request: StoreRequest<I, O>,
  ): Promise<{ readonly output: O; readonly exchange: Exchange }> {
    const { operation, key, signal, headers, body, onBytes, pace, ranged } = request;
    throwIfCancelled(signal);
    const { sdk, client } = await this.#connected();
    const sends = body !== undefined || operation === "PutObject";
    const answerMs = request.answerMs ?? (sends ? this.limits.answerMs : this.limits.stallMs);
    const where = s3Location(this.settings);
    const exchange = new Exchange({
      limits: this.limits,
      answerMs,
      where,
      signal,
      body,
      onBytes,
      pace,
      ranged,
    });
    // The SDK would learn another time from any answer, also from a proxy's; a clock that is wrong is to be told, not to be made up for.
    client.config.systemClockOffset = 0;
    const command = request.command(sdk);
    if (headers !== undefined) {
      command.middlewareStack.add(
        (next) => (args) => {
          Object.assign((args.request as { headers: Record<string, string> }).headers, headers);
          return next(args);
        },
        { step: "build", name: "strongroomHeaders" },
      );
    }
    try {
      const output = await client.send(command, { exchange } as object);
      this.reached = true;
      return { output, exchange };
    } catch (error) {
      exchange.close();
      const failure = requestFailure({ settings: this.settings, operation, key }, exchange, error);
      // A client keeps the credentials that it was given once; a new one asks for those that are there then.
      if (failure.failure.code === "CREDENTIALS_REFUSED") this.#client = null;
      throw failure;
    }
  }

  /**
   * Sends a body, with its MD5 (base64) once the store has refused one for want of it, as some do under an object lock; others never pay for
   * that digest. `send` gets the input's further fields.
   */
  async withMd5<T>(
    md5: () => Promise<string>,
    send: (more: { readonly ContentMD5?: string }) => Promise<T>,
  ): Promise<T> {
    if (!this.#wantsMd5) {
      try {
        return await send({});
      } catch (error) {
        if (!(error instanceof StoreRefusal) || error.status !== 400 || !/content-?md5/i.test(error.message))
          throw error;
        this.#wantsMd5 = true;
      }
    }
    return send({ ContentMD5: await md5() });
  }

  close(): void {
    this.#connections.destroy();
  }

  #connected(): Promise<{ readonly sdk: Sdk; readonly client: S3Client }> {
    this.#client ??= this.#connect();
    return this.#client;
  }

  /** All that the SDK would otherwise take from the environment or ~/.aws/config is settled here: a vault is where its settings say. */
  async #connect(): Promise<{ readonly sdk: Sdk; readonly client: S3Client }> {
    const { SDK: sdk } = await import("./s3-sdk.ts");
    const { endpoint, region, pathStyle } = this.settings;
    const client = new sdk.S3Client({
      ...(endpoint === null ? {} : { endpoint }),
      ignoreConfiguredEndpointUrls: true,
      region,
      forcePathStyle: pathStyle,
      credentials: this.#credentials,
      requestHandler: this.#connections,
      maxAttempts: 1,
      retryMode: "standard",
      defaultsMode: "legacy",
      // Other stores refuse or ignore the checksums that the SDK adds by default; ours are given explicitly (research/transfer.md, 1.2).
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      expectContinueHeader: false,
      useArnRegion: false,
      useDualstackEndpoint: false,
      useFipsEndpoint: false,
      disableS3ExpressSessionAuth: true,
      userAgentAppId: "strongroom",
    });
    return { sdk, client };
  }
}
