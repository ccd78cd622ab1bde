// One file from choice to score.
import { type Problem, problemOf, score, send, untilBack, uploads } from "./api.ts";
import type { Thumbnail } from "../gen/assay/v1/event_pb.ts";
import { el, fill, paced, refill } from "./dom.ts";
import { asCsv, asJson, asPng, save } from "./download.ts";
import { feed, type Judgement, nothing } from "./judgement.ts";
import { Timeline } from "./timeline.ts";
import { anotherToken, currentToken } from "./token.ts";
import { Explanation, mediaView, showAttributes, showScores } from "./views.ts";
import { size } from "./words.ts";

export interface Handle {
  uploadId: string;
  name: string;
  size: number;
}

export class Card {
  readonly element: HTMLElement;
  known: Judgement = nothing();
  private readonly stop = new AbortController();
  private readonly title: HTMLElement;
  private readonly preview = el("div", { class: "preview" });
  private readonly progress = el("progress", { max: "1", value: "0", "aria-label": "Upload" });
  private readonly stage = el("p", { class: "stage" });
  private readonly trouble = el("p", { class: "trouble", role: "alert" });
  private readonly scores = el("div", { class: "scores" });
  private readonly facts = el("div");
  private readonly words = new Explanation();
  private readonly grades = el("div");
  private readonly downloads = el("div", { class: "downloads" });
  private readonly timeline: Timeline;
  private readonly remove: HTMLButtonElement;
  private window?: number;
  private handle?: Handle;
  private readonly draw = paced(() => this.render());
  private isShown = false;

  constructor(
    private file: File | undefined,
    name: string,
    private readonly hear: (sentence: string) => void,
    private readonly changed: (card: Card) => void,
    private readonly closed: (card: Card) => void,
  ) {
    this.timeline = new Timeline((window, start) => this.seek(window, start));
    this.title = el("h2", { tabindex: "-1" }, name);
    this.remove = el("button", { type: "button", class: "quiet", click: () => this.close() });
    this.element = el(
      "article",
      { class: "card" },
      el("header", {}, this.title, this.remove),
      this.trouble,
      el(
        "div",
        { class: "split" },
        el("div", { class: "side" }, this.preview, this.timeline.element, this.facts),
        el("div", { class: "side" }, el("div", { class: "status" }, this.progress, this.stage), this.scores, this.words.element),
      ),
      this.grades,
      this.downloads,
    );
    this.nameRemove("Cancel");
    if (file) this.showPreview(file);
    this.draw();
  }

  get name(): string {
    return this.title.textContent ?? "";
  }

  get saved(): Handle | undefined {
    return this.handle;
  }

  /** Uploads and scores; after a reload `handle` is the upload that was begun. */
  async run(handle?: Handle): Promise<void> {
    this.handle = handle;
    while (!this.stop.signal.aborted) {
      const shown = currentToken();
      try {
        await this.once();
        return;
      } catch (wrong) {
        if (this.stop.signal.aborted) return;
        const problem = problemOf(wrong);
        if (problem.status === 404 && this.file) {
          this.begin(undefined);
          continue;
        }
        if (problem.status === 401) {
          this.stage.textContent = "Waiting for a token that the server accepts.";
          await anotherToken(shown);
          continue;
        }
        if (!problem.isLost) return this.fail(problem);
        this.say("The server cannot be reached. What has come stays here, and scoring goes on when it is back.");
        await untilBack(this.stop.signal);
        this.say("");
      }
    }
  }

  focus(): void {
    this.title.focus();
  }

  private begin(handle: Handle | undefined): void {
    this.handle = handle;
    this.known = nothing();
  }

  private async once(): Promise<void> {
    if (!this.handle) {
      const file = this.file!;
      const { upload } = await uploads.createUpload({ sizeBytes: BigInt(file.size) });
      this.handle = { uploadId: upload!.uploadId, name: file.name, size: file.size };
      this.changed(this);
    }
    const { uploadId } = this.handle;
    // Where one of the two fails the other ends as well, so that the next attempt begins with neither.
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.stop.signal, attempt.signal]);
    const sending = this.file ? this.upload(uploadId, this.file, signal) : Promise.resolve();
    try {
      await Promise.all([sending, this.listen(uploadId, signal)]);
    } finally {
      attempt.abort();
      await sending.catch(() => undefined);
    }
  }

  private async upload(uploadId: string, file: File, signal: AbortSignal): Promise<void> {
    const progress = (bytes: number) => {
      this.progress.value = bytes / file.size;
      if (!this.known.result) this.stage.textContent = `${size(bytes)} of ${size(file.size)} sent`;
    };
    await send(uploadId, file, progress, signal);
    this.progress.value = 1;
    this.hear(`${file.name.slice(0, 80)} uploaded`);
  }

  private async listen(uploadId: string, signal: AbortSignal): Promise<void> {
    for await (const event of score(uploadId, this.known.sequence, signal)) {
      const sentence = feed(this.known, event);
      if (sentence) this.hear(sentence);
      this.draw();
    }
    this.changed(this);
  }

  private fail(problem: Problem): void {
    const hint =
      problem.status === 404 ? "This upload is gone: it was too long ago. Choose the file again." : problem.message;
    this.say(hint);
    this.stage.textContent = "Not scored.";
    this.progress.hidden = true;
    this.element.classList.add("failed");
    this.scores.hidden = this.words.element.hidden = !this.known.early && !this.known.reasoning.length;
    this.nameRemove("Remove");
    if (this.file) fill(this.downloads, el("button", { type: "button", click: () => this.again() }, "Try again"));
    this.changed(this);
  }

  private again(): void {
    fill(this.downloads);
    this.say("");
    this.forget();
    this.begin(undefined);
    this.progress.hidden = this.scores.hidden = this.words.element.hidden = false;
    this.element.classList.remove("failed");
    this.nameRemove("Cancel");
    this.focus();
    this.draw();
    void this.run();
  }

  /** The upload on the server is not needed any more. */
  private forget(): void {
    if (this.handle) uploads.deleteUpload({ uploadId: this.handle.uploadId }).catch(() => undefined);
  }

  private say(sentence: string): void {
    this.trouble.textContent = sentence;
  }

  private render(): void {
    const { known } = this;
    const final = known.result?.score;
    showScores(this.scores, "Score", final, known.early);
    refill(this.facts, [known.media?.container, Boolean(final)], () => [mediaView(known)]);
    this.words.show(known, this.window);
    showAttributes(this.grades, known);
    this.timeline.show(known);
    if (!this.isShown && known.thumbnails[0]) this.showThumbnail(known.thumbnails[0]);
    if (final) {
      this.stage.textContent = `Scored by ${known.model}.`;
      this.progress.hidden = true;
      this.nameRemove("Remove");
      this.showDownloads();
    } else if (known.media) {
      const windows = known.startedWindows ? `, ${known.windows.length} of ${known.startedWindows} windows scored` : "";
      this.stage.textContent = `Scoring${windows}…`;
    }
  }

  private showDownloads(): void {
    if (this.downloads.childElementCount) return;
    const stem = this.name.slice(0, 60);
    const button = (label: string, run: EventListener) => el("button", { type: "button", click: run }, label);
    fill(
      this.downloads,
      el("span", { class: "stage" }, "Download"),
      button("JSON", () => save(asJson(this.known), `${stem}.json`, "application/json")),
      button("CSV", () => save(asCsv(this.known), `${stem}.csv`, "text/csv")),
      button("PNG", () => void asPng(this.known, this.name, this.timeline.canvas).then((png) => save(png, `${stem}.png`))),
    );
  }

  private showPreview(file: File): void {
    const url = URL.createObjectURL(file);
    this.stop.signal.addEventListener("abort", () => URL.revokeObjectURL(url));
    const isVideo = file.type.startsWith("video/");
    const shown = isVideo
      ? el("video", { src: url, controls: true, muted: true, playsinline: true, preload: "metadata" })
      : el("img", { src: url, alt: "The chosen picture" });
    shown.addEventListener("error", () => {
      this.isShown = false;
      fill(this.preview, el("p", { class: "stage" }, "The browser cannot show this kind of file."));
      this.draw();
    });
    this.isShown = true;
    fill(this.preview, shown);
  }

  /** For files that the browser cannot show, and those that a reloaded page does not have any more. */
  private showThumbnail(thumbnail: Thumbnail): void {
    this.isShown = true;
    fill(this.preview, el("img", { src: this.timeline.url(thumbnail), alt: "What the model was shown", class: "small" }));
  }

  private nameRemove(label: string): void {
    this.remove.textContent = label;
    this.remove.setAttribute("aria-label", `${label} ${this.name.slice(0, 80)}`);
  }

  private seek(window: number, start: number): void {
    this.window = window;
    const video = this.preview.querySelector("video");
    if (video) video.currentTime = start;
    this.draw();
  }

  private close(): void {
    this.stop.abort();
    this.timeline.close();
    this.forget();
    this.element.remove();
    this.closed(this);
  }
}
