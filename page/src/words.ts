// The contract's names as people read them.
import { AttributeLevel, AttributeName } from "../gen/assay/v1/attribute_pb.ts";
import type { Duration } from "@bufbuild/protobuf/wkt";

export const ATTRIBUTES: Record<number, string> = {
  [AttributeName.COMPOSITION]: "Composition",
  [AttributeName.EYE_CATCHING]: "Eye-catching",
  [AttributeName.SUBJECT_AND_BACKGROUND]: "Subject and background",
  [AttributeName.SUBJECT_INTEGRITY]: "Subject integrity",
  [AttributeName.SUBJECT_CLUTTER]: "Subject clutter",
  [AttributeName.BACKGROUND_CLUTTER]: "Background clutter",
  [AttributeName.LEVEL_SHOT]: "Level shot",
  [AttributeName.CLARITY]: "Clarity",
  [AttributeName.EXPOSURE]: "Exposure",
  [AttributeName.SATURATION]: "Saturation",
};

export const LEVELS: Record<number, string> = {
  [AttributeLevel.HIGH]: "high level",
  [AttributeLevel.MIDDLE]: "middle level",
  [AttributeLevel.LOW]: "low level",
};

export function seconds(duration?: Duration): number {
  return duration ? Number(duration.seconds) + duration.nanos / 1e9 : 0;
}

export function clock(value: number): string {
  const minutes = Math.floor(value / 60);
  const rest = (value - 60 * minutes).toFixed(1).padStart(4, "0");
  return `${minutes}:${rest.replace(/\.0$/, "")}`;
}

export function size(bytes: number): string {
  if (bytes < 1 << 20) return `${Math.max(1, Math.round(bytes / 1024))} kB`;
  return `${(bytes / (1 << 20)).toFixed(1)} MB`;
}

export function percent(share: number): string {
  return share >= 0.995 ? "100 %" : share < 0.005 ? "<1 %" : `${Math.round(100 * share)} %`;
}
