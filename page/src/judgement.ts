// What is known of one file, as its events come.
import type { Attribute } from "../gen/assay/v1/attribute_pb.ts";
import type { MediaInfo, Result, ScoreEvent, Thumbnail } from "../gen/assay/v1/event_pb.ts";
import type { Score, WindowResult } from "../gen/assay/v1/score_pb.ts";

export interface Judgement {
  sequence: bigint;
  media?: MediaInfo;
  model: string;
  reasoning: string[];
  attributes: Map<number, Attribute>[];
  early?: Score;
  windows: WindowResult[];
  startedWindows: number;
  sampledFrames: number;
  thumbnails: Thumbnail[];
  result?: Result;
}

export function nothing(): Judgement {
  return { sequence: 0n, model: "", reasoning: [], attributes: [], windows: [], startedWindows: 0, sampledFrames: 0, thumbnails: [] };
}

/** Takes in one event; returns a sentence where a listener should hear of it. */
export function feed(known: Judgement, { sequence, event }: Pick<ScoreEvent, "sequence" | "event">): string {
  known.sequence = sequence;
  switch (event.case) {
    case "started":
      known.media = event.value.media;
      known.model = event.value.model?.name ?? "";
      return `${known.media?.container ?? "file"} recognised, scoring has begun`;
    case "progress":
      known.startedWindows = event.value.startedWindows;
      known.sampledFrames = Number(event.value.sampledFrames);
      return "";
    case "reasoning": {
      const at = event.value.windowIndex;
      known.reasoning[at] = (known.reasoning[at] ?? "") + event.value.text;
      return "";
    }
    case "attribute": {
      const at = event.value.windowIndex;
      known.attributes[at] ??= new Map();
      if (event.value.attribute) known.attributes[at].set(event.value.attribute.name, event.value.attribute);
      return "";
    }
    case "earlyScore":
      if (known.early) return "";
      known.early = event.value.score;
      return `early score ${known.early?.value.toFixed(1)}`;
    case "thumbnail":
      known.thumbnails.push(event.value);
      return "";
    case "window":
      known.windows.push(event.value);
      known.windows.sort((one, other) => one.windowIndex - other.windowIndex);
      return "";
    case "result":
      known.result = event.value;
      known.media = event.value.media ?? known.media;
      return `final score ${event.value.score?.value.toFixed(2)} of ${event.value.score?.scale?.maximum ?? 10}`;
    default:
      return "";
  }
}

/** The attributes to show: of the whole, or of the latest window while it is written. */
export function attributesOf(known: Judgement): Attribute[] {
  if (known.result) return known.result.attributes;
  const latest = known.attributes.filter(Boolean).at(-1);
  return latest ? [...latest.values()] : [];
}

/** The explanation to show, and of which window it is. */
export function explanationOf(known: Judgement, window?: number): { text: string; window: number } {
  const at = window ?? (known.reasoning.length ? known.reasoning.length - 1 : 0);
  const whole = known.windows.find((each) => each.windowIndex === at)?.reasoning;
  return { text: whole || known.reasoning[at] || "", window: at };
}
