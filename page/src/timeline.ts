// A video's windows over time: scores as a line, worst and best marked, a click seeks.
import uPlot from "uplot";
import type { WindowResult } from "../gen/assay/v1/score_pb.ts";
import { el } from "./dom.ts";
import type { Judgement } from "./judgement.ts";
import { clock, seconds } from "./words.ts";

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class Timeline {
  readonly element = el("div", { class: "timeline" });
  private plot?: uPlot;
  private windows: WindowResult[] = [];

  /** `choose` is called with a window and its start in seconds. */
  constructor(private readonly choose: (window: number, start: number) => void) {}

  show(known: Judgement): void {
    this.windows = known.result?.windows.length ? known.result.windows : known.windows;
    if (this.windows.length < 2) return;
    const data = this.data();
    if (this.plot) this.plot.setData(data);
    else this.make(data);
    this.buttons(known);
  }

  /** The chart as an image. */
  get canvas(): HTMLCanvasElement | null {
    return this.element.querySelector("canvas");
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
    const holder = el("div", { class: "chart", "aria-hidden": "true" });
    this.element.append(holder);
    const axis = { stroke: () => color("--muted"), grid: { stroke: () => color("--line"), width: 1 }, ticks: { show: false } };
    this.plot = new uPlot(
      {
        width: holder.clientWidth || 300,
        height: 140,
        legend: { show: false },
        cursor: { y: false, points: { show: false } },
        scales: { x: { time: false }, y: { range: (_, low, high) => [Math.max(0, low - 0.5), Math.min(10, high + 0.5)] } },
        axes: [
          { ...axis, values: (_, marks) => marks.map(clock) },
          { ...axis, size: 36 },
        ],
        series: [{}, { stroke: () => color("--accent"), width: 2, fill: () => color("--accent-soft"), points: { show: false } }],
      },
      data,
      holder,
    );
    this.plot.over.addEventListener("click", () => {
      const at = this.plot?.posToVal(this.plot.cursor.left ?? 0, "x") ?? 0;
      const index = this.windows.findLastIndex((window) => seconds(window.startOffset) <= at);
      const window = this.windows[Math.max(0, index)];
      if (window) this.choose(window.windowIndex, seconds(window.startOffset));
    });
    new ResizeObserver(() => this.plot?.setSize({ width: holder.clientWidth, height: 140 })).observe(holder);
  }

  private buttons(known: Judgement): void {
    this.element.querySelector(".segments")?.remove();
    const row = el("div", { class: "segments" });
    const add = (label: string, index: number, start: number, value: number) =>
      row.append(
        el(
          "button",
          { type: "button", click: () => this.choose(index, start) },
          `${label} ${clock(start)} · ${value.toFixed(2)}`,
        ),
      );
    const { worst, best } = known.result ?? {};
    if (worst && best) {
      add("Worst, from", worst.windowIndex, seconds(worst.startOffset), worst.score?.value ?? NaN);
      add("Best, from", best.windowIndex, seconds(best.startOffset), best.score?.value ?? NaN);
    }
    const all = el("details", {}, el("summary", {}, `All ${this.windows.length} windows`));
    const list = el("ol", { start: "1" });
    for (const window of this.windows) {
      const start = seconds(window.startOffset);
      const text = `${clock(start)} to ${clock(seconds(window.endOffset))}: ${(window.score?.value ?? NaN).toFixed(2)}`;
      list.append(el("li", {}, el("button", { type: "button", click: () => this.choose(window.windowIndex, start) }, text)));
    }
    all.append(list);
    row.append(all);
    this.element.append(row);
  }
}
