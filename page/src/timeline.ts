// A video over time: its thumbnails as they are taken, the windows' scores below them, worst and best marked; a click seeks.
import uPlot from "uplot";
import type { Segment, Thumbnail } from "../gen/assay/v1/event_pb.ts";
import type { WindowResult } from "../gen/assay/v1/score_pb.ts";
import { el, fill } from "./dom.ts";
import type { Judgement } from "./judgement.ts";
import { clock, seconds } from "./words.ts";

const AXIS_PX = 36;
const RIGHT_PX = 18;
const HEIGHT_PX = 150;
const SLOT_PX = 76;

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class Timeline {
  readonly element = el("section", { class: "timeline", "aria-label": "Timeline", hidden: true });
  private readonly strip = el("div", { class: "strip", "aria-hidden": "true" });
  private readonly holder = el("div", { class: "chart", "aria-hidden": "true" });
  private readonly segments = el("div", { class: "segments" });
  private readonly urls = new Map<Thumbnail, string>();
  private plot?: uPlot;
  private known?: Judgement;
  /** Of what is shown, so that nothing is drawn again while words alone come. */
  private state = "";
  private windows: WindowResult[] = [];

  /** `choose` is called with a window and its start in seconds; without it there is nothing to choose. */
  constructor(private readonly choose?: (window: number, start: number) => void) {
    fill(this.element, this.strip, this.holder, this.segments);
    this.element.classList.toggle("still", !choose);
    this.strip.addEventListener("click", ({ clientX }) => {
      const { left, width } = this.strip.getBoundingClientRect();
      this.seek((this.end * (clientX - left)) / width);
    });
    new ResizeObserver(() => {
      if (!this.plot || !this.holder.clientWidth) return;
      this.plot.setSize({ width: this.holder.clientWidth, height: HEIGHT_PX });
      this.showStrip();
    }).observe(this.holder);
  }

  show(known: Judgement): void {
    this.known = known;
    this.windows = known.result?.windows.length ? known.result.windows : known.windows;
    // A photo, and a video so short that all of it is one window, have no course.
    if (known.thumbnails.length < 2 && this.windows.length < 2) return;
    const { thumbnails, result } = known;
    const state = [thumbnails[0]?.frameIndex, thumbnails.length, this.windows.at(-1)?.windowIndex, Boolean(result)].join(" ");
    if (state === this.state) return;
    this.state = state;
    this.element.hidden = false;
    this.showStrip();
    if (!this.windows.length) return;
    if (this.plot) this.plot.setData(this.data());
    else this.make(this.data());
    if (this.choose) this.buttons(known);
  }

  /** The chart as an image. */
  get canvas(): HTMLCanvasElement | null {
    return this.element.querySelector("canvas");
  }

  url(thumbnail: Thumbnail): string {
    let url = this.urls.get(thumbnail);
    if (!url) this.urls.set(thumbnail, (url = URL.createObjectURL(new Blob([thumbnail.jpeg as BlobPart], { type: "image/jpeg" }))));
    return url;
  }

  forget(thumbnail: Thumbnail): void {
    URL.revokeObjectURL(this.urls.get(thumbnail) ?? "");
    this.urls.delete(thumbnail);
  }

  close(): void {
    for (const thumbnail of [...this.urls.keys()]) this.forget(thumbnail);
  }

  /** Of a camera's windows the first ones are forgotten. */
  private get start(): number {
    return this.choose ? 0 : seconds(this.windows[0]?.startOffset);
  }

  /** How far the video is known, in seconds. */
  private get end(): number {
    const last = this.known?.thumbnails.at(-1);
    const window = this.windows.at(-1);
    return Math.max(seconds(this.known?.result?.media?.duration), seconds(window?.endOffset), seconds(last?.timeOffset), 0.1);
  }

  /** Each of them nearest to the middle of its place. */
  private spread(thumbnails: Thumbnail[], places: number): Thumbnail[] {
    return Array.from({ length: places }, (_, place) => {
      const at = (this.end * (place + 0.5)) / places;
      const away = (each: Thumbnail) => Math.abs(seconds(each.timeOffset) - at);
      return thumbnails.reduce((best, each) => (away(each) < away(best) ? each : best));
    });
  }

  /** As many thumbnails as there is room for; of a camera the latest. */
  private showStrip(): void {
    const { thumbnails } = this.known!;
    const wide = (this.element.clientWidth || 300) - AXIS_PX - RIGHT_PX;
    const places = Math.min(Math.max(2, Math.floor(wide / SLOT_PX)), thumbnails.length);
    const shown = this.choose ? this.spread(thumbnails, places) : thumbnails.slice(-places);
    while (this.strip.childElementCount > places) this.strip.lastElementChild!.remove();
    shown.forEach((thumbnail, place) => {
      const image = (this.strip.children[place] as HTMLImageElement) ?? this.strip.appendChild(el("img", { alt: "" }));
      const url = this.url(thumbnail);
      if (image.src !== url) image.src = url;
      image.title = clock(seconds(thumbnail.timeOffset));
      const { worst, best } = this.known!.result ?? {};
      image.className = within(thumbnail, worst) ? "worst" : within(thumbnail, best) ? "best" : "";
    });
  }

  private data(): uPlot.AlignedData {
    const xs: number[] = [];
    const ys: number[] = [];
    for (const window of this.windows) {
      const value = window.score?.value ?? NaN;
      const [start, end] = [seconds(window.startOffset), seconds(window.endOffset)];
      xs.push(start, Math.max(end, start + 0.01));
      ys.push(value, value);
    }
    return [xs, ys];
  }

  private make(data: uPlot.AlignedData): void {
    const axis = {
      stroke: () => color("--muted"),
      grid: { stroke: () => color("--line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    const { minimum, maximum } = this.windows[0]?.score?.scale ?? { minimum: 0, maximum: 10 };
    this.plot = new uPlot(
      {
        width: this.holder.clientWidth || 300,
        height: HEIGHT_PX,
        padding: [10, RIGHT_PX, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { show: false } },
        scales: { x: { time: false, range: () => [this.start, this.end] }, y: { range: () => [minimum, maximum] } },
        axes: [
          { ...axis, size: 28, space: 64, values: (_, marks) => marks.map(clock) },
          { ...axis, size: AXIS_PX, space: 28 },
        ],
        series: [{}, { stroke: () => color("--accent"), width: 2, fill: () => color("--accent-soft"), points: { show: false } }],
        hooks: { drawClear: [(plot) => this.mark(plot)] },
      },
      data,
      this.holder,
    );
    this.plot.over.addEventListener("click", () => this.seek(this.plot?.posToVal(this.plot.cursor.left ?? 0, "x") ?? 0));
  }

  /** Worst and best segment as bands behind the line. */
  private mark(plot: uPlot): void {
    const { worst, best } = this.known?.result ?? {};
    if (!worst || !best || worst.windowIndex === best.windowIndex) return;
    for (const [segment, name] of [[worst, "--bad"], [best, "--good"]] as const) {
      const [left, right] = [segment.startOffset, segment.endOffset].map((at) => plot.valToPos(seconds(at), "x", true));
      plot.ctx.save();
      plot.ctx.globalAlpha = 0.16;
      plot.ctx.fillStyle = color(name);
      plot.ctx.fillRect(left!, plot.bbox.top, right! - left!, plot.bbox.height);
      plot.ctx.restore();
    }
  }

  private seek(at: number): void {
    const index = this.windows.findLastIndex((window) => seconds(window.startOffset) <= at);
    const window = this.windows[Math.max(0, index)];
    if (window) this.choose?.(window.windowIndex, at);
  }

  private buttons(known: Judgement): void {
    const focused = this.segments.contains(document.activeElement);
    if (focused && this.segments.childElementCount) return; // what somebody is using does not change under the hand
    const button = (name: string, text: string, index: number, start: number) =>
      el("button", { type: "button", class: name, click: () => this.choose?.(index, start) }, text);
    const segment = (label: string, name: string, { windowIndex, startOffset, endOffset, score }: Segment) => {
      const [start, end] = [seconds(startOffset), seconds(endOffset)];
      return button(name, `${label} ${(score?.value ?? NaN).toFixed(2)} · ${clock(start)} to ${clock(end)}`, windowIndex, start);
    };
    const { worst, best } = known.result ?? {};
    const all = el("details", {}, el("summary", {}, `All ${this.windows.length} windows`));
    const list = el("ol", { start: "1" });
    for (const { windowIndex, startOffset, endOffset, score } of this.windows) {
      const start = seconds(startOffset);
      const text = `${clock(start)} to ${clock(seconds(endOffset))}: ${(score?.value ?? NaN).toFixed(2)}`;
      list.append(el("li", {}, button("", text, windowIndex, start)));
    }
    all.append(list);
    all.open = this.segments.querySelector("details")?.open ?? false;
    fill(this.segments, best && segment("Best", "best", best), worst && segment("Worst", "worst", worst), all);
  }
}

function within(thumbnail: Thumbnail, segment?: Segment): boolean {
  const at = seconds(thumbnail.timeOffset);
  return Boolean(segment) && at >= seconds(segment!.startOffset) && at < seconds(segment!.endOffset);
}
