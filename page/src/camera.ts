// The camera as a live upload, window by window.
import type { LiveWindow } from "../gen/assay/v1/live_pb.ts";
import { problemOf, putPiece, scoreLive, untilBack, uploads } from "./api.ts";
import { el, fill, paced } from "./dom.ts";
import { feed, nothing } from "./judgement.ts";
import { Timeline } from "./timeline.ts";
import { anotherToken, currentToken } from "./token.ts";
import { Explanation, showAttributes, showScores } from "./views.ts";
import { clock, seconds } from "./words.ts";

const TYPES = ['video/mp4;codecs="avc1.42E01E"', "video/mp4"];
const PIECE_MS = 500;
const MOST_SHOWN = 30;

export class Camera {
  readonly element = el("article", { class: "card camera" });
  private readonly video = el("video", { muted: true, playsinline: true, autoplay: true, "aria-label": "Camera" });
  private readonly trouble = el("p", { class: "trouble", role: "alert" });
  private readonly stage = el("p", { class: "stage" }, "Opening the camera…");
  private readonly scores = el("div", { class: "scores" });
  private readonly words = new Explanation();
  private readonly grades = el("div");
  private readonly list = el("ol", { class: "windows", reversed: true, tabindex: "0", "aria-label": "Windows" });
  private readonly timeline = new Timeline();
  private readonly stop = new AbortController();
  private known = nothing();
  private latest?: LiveWindow;
  private dropped = 0n;
  private readonly draw = paced(() => this.render());
  private stream?: MediaStream;
  private recorder?: MediaRecorder;

  constructor(
    private readonly hear: (sentence: string) => void,
    private readonly closed: () => void,
  ) {
    const end = el("button", { type: "button", class: "quiet", click: () => this.close() }, "Stop camera");
    const view = el("div", { class: "side" }, this.video, this.timeline.element, this.stage, this.list);
    const answer = el("div", { class: "side" }, this.scores, this.words.element);
    const head = el("header", {}, el("h2", {}, "Camera"), end);
    fill(this.element, head, this.trouble, el("div", { class: "split" }, view, answer), this.grades);
    this.draw();
  }

  async run(): Promise<void> {
    try {
      const type = TYPES.find((each) => MediaRecorder.isTypeSupported(each));
      if (!type) return this.say("This browser cannot record fragmented MP4, which live scoring takes.");
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: false });
      this.video.srcObject = this.stream;
      while (!this.stop.signal.aborted) await this.once(type);
    } catch (wrong) {
      if (this.stop.signal.aborted) return;
      const isRefused = wrong instanceof DOMException;
      this.say(
        isRefused
          ? "The camera could not be opened: allow it in the browser, and see that no other program uses it."
          : problemOf(wrong).message,
      );
      this.release();
    }
  }

  /** One live upload, until it is stopped or the server is lost; then waits until that is back. */
  private async once(type: string): Promise<void> {
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.stop.signal, attempt.signal]);
    const shown = currentToken();
    try {
      const { upload } = await uploads.createUpload({}, { signal });
      this.say("");
      this.begin();
      const recording = this.record(upload!.uploadId, type, signal);
      await Promise.race([recording, this.listen(upload!.uploadId, signal)]);
    } catch (wrong) {
      if (this.stop.signal.aborted) return;
      const problem = problemOf(wrong);
      if (problem.status === 401) {
        this.stage.textContent = "Waiting for a token that the server accepts.";
        return await anotherToken(shown);
      }
      if (!problem.isLost && problem.status !== 404) throw problem;
      this.say("The server cannot be reached. What has come stays here, and scoring goes on when it is back.");
      await untilBack(this.stop.signal);
    } finally {
      attempt.abort();
      if (this.recorder?.state === "recording") this.recorder.stop();
    }
  }

  private begin(): void {
    this.timeline.close();
    this.known = nothing();
    this.stage.textContent = "Scoring; the first window takes some seconds…";
  }

  private async listen(uploadId: string, signal: AbortSignal): Promise<void> {
    for await (const { sequence, event } of scoreLive(uploadId, signal)) {
      if (event.case === "window") this.show(event.value);
      else if (event.case === "ended") this.dropped += event.value.droppedWindows;
      else feed(this.known, { sequence, event });
      const { thumbnails } = this.known;
      if (thumbnails.length > MOST_SHOWN) this.timeline.forget(thumbnails.shift()!);
      this.draw();
    }
  }

  private show(value: LiveWindow): void {
    const { window, droppedWindows } = value;
    this.latest = value;
    if (window) this.known.windows.push(window);
    if (this.known.windows.length > MOST_SHOWN) this.known.windows.shift();
    this.dropped += droppedWindows;
    const score = window?.score?.value ?? NaN;
    const from = clock(seconds(window?.startOffset));
    const lost = droppedWindows ? `, ${droppedWindows} dropped before it` : "";
    this.list.prepend(el("li", {}, `from ${from}: ${score.toFixed(2)}${lost}`));
    while (this.list.childElementCount > MOST_SHOWN) this.list.lastElementChild?.remove();
    const lag = seconds(value.lag).toFixed(1);
    this.stage.textContent = `${this.dropped} windows dropped; the latest score came ${lag} s after its last frame.`;
    this.hear(`window ${score.toFixed(1)}`);
    // Of windows that are over nothing is needed any more, and a camera may run for hours.
    const { windowIndex } = window!;
    delete this.known.reasoning[windowIndex - 1];
    delete this.known.attributes[windowIndex - 1];
    this.known.early = undefined;
  }

  private render(): void {
    showScores(this.scores, "Latest score", this.latest?.window?.score, this.known.early);
    this.words.show(this.known);
    showAttributes(this.grades, this.known);
    this.timeline.show(this.known);
  }

  /** Sends what is recorded; returns never, and throws what a piece failed with. */
  private record(uploadId: string, type: string, signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      let offset = 0;
      let last = Promise.resolve();
      const recorder = new MediaRecorder(this.stream!, { mimeType: type, videoBitsPerSecond: 1_500_000 });
      recorder.ondataavailable = ({ data }) => {
        last = last.then(async () => {
          if (!data.size || signal.aborted) return;
          await putPiece(uploadId, offset, data);
          offset += data.size;
        });
        last.catch(reject);
      };
      recorder.onstop = () => void last.then(() => uploads.finishUpload({ uploadId })).catch(() => undefined);
      recorder.start(PIECE_MS);
      this.recorder = recorder;
    });
  }

  private say(sentence: string): void {
    this.trouble.textContent = sentence;
  }

  private release(): void {
    if (this.recorder?.state === "recording") this.recorder.stop();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }

  private close(): void {
    this.release();
    this.stop.abort();
    this.timeline.close();
    this.element.remove();
    this.closed();
  }
}
