// The camera as a live upload, window by window.
import { problemOf, putPiece, scoreLive, uploads } from "./api.ts";
import { el, fill } from "./dom.ts";
import { clock, seconds } from "./words.ts";

const TYPES = ['video/mp4;codecs="avc1.42E01E"', "video/mp4"];
const PIECE_MS = 500;

export class Camera {
  readonly element = el("article", { class: "card camera" });
  private readonly video = el("video", { muted: true, playsinline: true, autoplay: true, "aria-label": "Camera" });
  private readonly trouble = el("p", { class: "trouble", role: "alert" });
  private readonly number = el("p", { class: "number" }, "–");
  private readonly list = el("ol", { class: "windows", reversed: true });
  private readonly stop = new AbortController();
  private stream?: MediaStream;
  private recorder?: MediaRecorder;

  constructor(
    private readonly hear: (sentence: string) => void,
    private readonly closed: () => void,
  ) {
    const end = el("button", { type: "button", class: "quiet", click: () => this.close() }, "Stop camera");
    fill(this.element, el("header", {}, el("h2", {}, "Camera"), end), this.trouble, this.video, this.number, this.list);
  }

  async run(): Promise<void> {
    try {
      const type = TYPES.find((each) => MediaRecorder.isTypeSupported(each));
      if (!type) throw new Error("This browser cannot record fragmented MP4, which live scoring takes.");
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: false });
      this.video.srcObject = this.stream;
      const { upload } = await uploads.createUpload({});
      const { uploadId } = upload!;
      this.record(uploadId, type);
      for await (const { event } of scoreLive(uploadId, this.stop.signal)) {
        if (event.case !== "window") continue;
        const { window, droppedWindows } = event.value;
        const value = window?.score?.value ?? NaN;
        this.number.textContent = value.toFixed(2);
        const dropped = droppedWindows ? `, ${droppedWindows} windows dropped before it` : "";
        this.list.prepend(el("li", {}, `${clock(seconds(window?.startOffset))}: ${value.toFixed(2)}${dropped}`));
        while (this.list.childElementCount > 30) this.list.lastElementChild?.remove();
        this.hear(`window ${value.toFixed(1)}`);
      }
    } catch (wrong) {
      if (this.stop.signal.aborted) return;
      const isOurs = wrong instanceof Error && wrong.message.startsWith("This browser");
      const isRefused = wrong instanceof DOMException;
      this.trouble.textContent = isRefused
        ? "The camera could not be opened: allow it in the browser, and see that no other program uses it."
        : isOurs
          ? (wrong as Error).message
          : problemOf(wrong).message;
    }
  }

  private record(uploadId: string, type: string): void {
    let offset = 0;
    let last = Promise.resolve();
    this.recorder = new MediaRecorder(this.stream!, { mimeType: type, videoBitsPerSecond: 1_500_000 });
    this.recorder.ondataavailable = ({ data }) => {
      last = last.then(async () => {
        if (!data.size || this.stop.signal.aborted) return;
        await putPiece(uploadId, offset, data);
        offset += data.size;
      });
      last.catch((wrong) => {
        this.trouble.textContent = problemOf(wrong).message;
        this.release();
      });
    };
    this.recorder.onstop = () => void last.then(() => uploads.finishUpload({ uploadId })).catch(() => undefined);
    this.recorder.start(PIECE_MS);
  }

  private release(): void {
    if (this.recorder?.state === "recording") this.recorder.stop();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }

  private close(): void {
    this.release();
    this.stop.abort();
    this.element.remove();
    this.closed();
  }
}
