// Which of two files is better, by how much, and whether the spread allows to say so.
import type { Score } from "../gen/assay/v1/score_pb.ts";

export function comparison(first: Score, second: Score): string {
  const by = first.value - second.value;
  const spread = Math.hypot(first.standardDeviation, second.standardDeviation);
  const amount = Math.abs(by).toFixed(2);
  if (Math.abs(by) < 0.005) return "Both have the same score.";
  const better = by > 0 ? "The first" : "The second";
  if (Math.abs(by) >= 2 * spread) return `${better} is better by ${amount}; that is beyond the spread of both scores.`;
  if (Math.abs(by) >= spread) return `${better} is probably better, by ${amount}; the spread of the difference is ${spread.toFixed(2)}.`;
  return `${better} is ahead by ${amount}, but the spread of the difference is ${spread.toFixed(2)}: that does not allow to say which is better.`;
}
