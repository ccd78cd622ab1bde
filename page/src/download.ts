// What is known of a file, to take away.
import { toJsonString } from "@bufbuild/protobuf";
import { ResultSchema } from "../gen/assay/v1/event_pb.ts";
import type { Judgement } from "./judgement.ts";
import { ATTRIBUTES, seconds } from "./words.ts";

export function save(content: string | Blob, name: string, type = "image/png"): void {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export function asJson(known: Judgement): string {
  return toJsonString(ResultSchema, known.result!, { prettySpaces: 2, useProtoFieldName: true });
}

/** A line for each window. */
export function asCsv(known: Judgement): string {
  const { windows, attributes } = known.result!;
  const names = attributes.map((each) => each.name);
  const head = ["window", "start_seconds", "end_seconds", "score", "standard_deviation"];
  const rows = [[...head, ...names.map((name) => ATTRIBUTES[name] ?? "")]];
  for (const window of windows) {
    const grades = names.map((name) => window.attributes.find((each) => each.name === name)?.grade ?? "");
    rows.push([
      String(window.windowIndex),
      seconds(window.startOffset).toFixed(3),
      seconds(window.endOffset).toFixed(3),
      (window.score?.value ?? NaN).toFixed(4),
      (window.score?.standardDeviation ?? NaN).toFixed(4),
      ...grades,
    ]);
  }
  return rows.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(",")).join("\r\n") + "\r\n";
}

/** A card with the score, and the timeline where there is one. */
export async function asPng(known: Judgement, name: string, chart: HTMLCanvasElement | null): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = 960;
  canvas.height = chart ? 420 : 240;
  const pen = canvas.getContext("2d")!;
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#14201f";
  pen.font = "24px system-ui, sans-serif";
  pen.fillText(name.slice(0, 60), 40, 60);
  pen.font = "bold 72px system-ui, sans-serif";
  const { score } = known.result!;
  pen.fillText((score?.value ?? NaN).toFixed(2), 40, 150);
  pen.font = "20px system-ui, sans-serif";
  pen.fillStyle = "#4a5a58";
  pen.fillText(`of ${score?.scale?.maximum ?? 10}, spread ±${(score?.standardDeviation ?? NaN).toFixed(2)}, by ${known.model}`, 40, 195);
  if (chart) pen.drawImage(chart, 40, 220, 880, 180);
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob!), "image/png"));
}
