// Calls to the gateway: stubs over Connect, slices over PUT.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { LiveConfigSchema, type LiveEvent } from "../gen/assay/v1/live_pb.ts";
import type { ScoreEvent } from "../gen/assay/v1/event_pb.ts";
import { type ScoreConfig, ScoreConfigSchema } from "../gen/assay/v1/assay_pb.ts";
import { UploadService } from "../gen/assay/v1/upload_pb.ts";
import { create } from "@bufbuild/protobuf";
import { authorization } from "./token.ts";

const SLICE_BYTES = 4 << 20;
/** The page's own: what it shows of a file without having to open it. */
const CONFIG: ScoreConfig = create(ScoreConfigSchema, { thumbnails: { longestSidePx: 256 }, omitDigitDistributions: true });
const RETRY_MS = [500, 1000, 2000, 4000];

export const uploads = createClient(
  UploadService,
  createConnectTransport({
    baseUrl: location.origin,
    interceptors: [
      (next) => (request) => {
        for (const [name, value] of Object.entries(authorization())) request.header.set(name, value);
        return next(request);
      },
    ],
  }),
);

/** What a person reads; `status` is 0 where no answer came. */
export class Problem extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
  /** True where the same call may succeed once the server is back. */
  get isLost(): boolean {
    return this.status === 0;
  }
}

export function problemOf(wrong: unknown): Problem {
  if (wrong instanceof Problem) return wrong;
  if (wrong instanceof ConnectError) {
    if (wrong.code === Code.Unauthenticated) return refused();
    if (wrong.code === Code.PermissionDenied) return notAllowed();
    if (wrong.code === Code.NotFound) return new Problem(sentence(wrong), 404);
    if (wrong.details.length && wrong.code !== Code.Canceled) return new Problem(sentence(wrong), 500);
    // Every error of the gateway has details. Without them it is that of a connection that broke, or of a proxy that
    // does not reach the gateway. A server that stops cancels what it is asked.
    const isForeign = wrong.code === Code.Unimplemented || wrong.code === Code.Internal;
    return isForeign ? new Problem("This page and the server are not of one version. Reload the page.", 500) : lost();
  }
  if (wrong instanceof TypeError) return lost();
  return new Problem("The page failed; reload it and try again.", 500);
}

function sentence(wrong: ConnectError): string {
  return sentenceOf(wrong.rawMessage);
}

function sentenceOf(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function lost(): Problem {
  return new Problem("The server cannot be reached.", 0);
}

function refused(): Problem {
  return new Problem("The server asks for a token.", 401);
}

function notAllowed(): Problem {
  return new Problem("The token in use is not allowed to do this. Forget it and use another one.", 403);
}

async function put(
  uploadId: string,
  offset: number,
  slice: Blob,
  progress: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  // XMLHttpRequest, as fetch does not tell how far an upload is.
  await new Promise<void>((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `/v1/uploads/${uploadId}?offset=${offset}`);
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => progress(offset + event.loaded);
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.onabort = () => reject(lost());
    request.onerror = () => reject(lost());
    request.onload = () => {
      if (request.status === 200) return resolve();
      if (request.status === 401) return reject(refused());
      const detail = detailOf(request.responseText);
      reject(detail ? new Problem(detail, request.status) : lost());
    };
    request.send(slice);
  });
}

/** The gateway's sentence; nothing if another program answered, such as a proxy that does not reach it. */
function detailOf(text: string): string {
  try {
    return sentenceOf(String(JSON.parse(text).detail));
  } catch {
    return "";
  }
}

/** Sends a file from where its upload stands; goes on by itself after a broken connection. */
export async function send(uploadId: string, file: File, progress: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  let offset = Number((await uploads.getUpload({ uploadId })).upload!.receivedBytes);
  let failures = 0;
  while (offset < file.size) {
    try {
      signal.throwIfAborted();
      await put(uploadId, offset, file.slice(offset, offset + SLICE_BYTES), progress, signal);
      failures = 0;
      offset = Math.min(offset + SLICE_BYTES, file.size);
      progress(offset);
    } catch (wrong) {
      signal.throwIfAborted();
      const problem = problemOf(wrong);
      if (!problem.isLost && problem.status !== 409) throw problem;
      if (failures >= RETRY_MS.length) throw problem;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS[failures++]));
      offset = Number((await uploads.getUpload({ uploadId })).upload!.receivedBytes);
    }
  }
}

/** Events about an upload, from behind `after` on. */
export async function* score(uploadId: string, after: bigint, signal: AbortSignal): AsyncGenerator<ScoreEvent> {
  for await (const response of uploads.scoreUpload({ uploadId, config: CONFIG, afterSequence: after }, { signal })) {
    yield* response.events;
  }
}

/** What is said of a live upload. */
export async function* scoreLive(uploadId: string, signal: AbortSignal): AsyncGenerator<LiveEvent> {
  const config = create(LiveConfigSchema, { config: CONFIG, window: { seconds: 4n }, hop: { seconds: 4n } });
  for await (const { response } of uploads.scoreLiveUpload({ uploadId, config }, { signal })) {
    yield* response?.events ?? [];
  }
}

export async function putPiece(uploadId: string, offset: number, piece: Blob): Promise<void> {
  await put(uploadId, offset, piece, () => undefined);
}

/** Returns once the server answers again. */
export async function untilBack(signal: AbortSignal): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (signal.aborted) return;
    try {
      if ((await fetch("/healthz")).ok) return;
    } catch {
      // Still gone.
    }
  }
}
