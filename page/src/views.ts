// What is known of a file, as elements.
import type { Attribute } from "../gen/assay/v1/attribute_pb.ts";
import type { Score } from "../gen/assay/v1/score_pb.ts";
import { el, refill } from "./dom.ts";
import { attributesOf, explanationOf, type Judgement } from "./judgement.ts";
import { ATTRIBUTES, LEVELS, clock, percent, seconds } from "./words.ts";

const SVG = "http://www.w3.org/2000/svg";

/** A score as a number and on its scale, with its spread. */
function scoreView(score: Score | undefined, title: string, isFinal: boolean): HTMLElement {
  const box = el("div", { class: isFinal ? "score final" : "score" });
  const top = score?.scale?.maximum ?? 10;
  const bottom = score?.scale?.minimum ?? 0;
  box.append(
    el("h3", {}, title),
    el("p", { class: score ? "number" : "number unknown" }, score ? score.value.toFixed(isFinal ? 2 : 1) : "–", el("span", {}, ` of ${top}`)),
  );
  box.append(scale(score, bottom, top));
  const spread = score ? `spread ±${score.standardDeviation.toFixed(2)}` : "not known yet";
  box.append(el("p", { class: "ends" }, el("span", {}, String(bottom)), el("span", {}, spread), el("span", {}, String(top))));
  return box;
}

function scale(score: Score | undefined, bottom: number, top: number): SVGElement {
  const at = (value: number) => (100 * (Math.min(Math.max(value, bottom), top) - bottom)) / (top - bottom);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 8");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("scale");
  svg.append(rect("track", 0, 100, 3, 2));
  if (score) {
    const low = at(score.value - score.standardDeviation);
    svg.append(rect("spread", low, at(score.value + score.standardDeviation) - low, 2, 4));
    svg.append(rect("mark", at(score.value) - 0.5, 1, 0, 8));
  }
  return svg;
}

function rect(name: string, x: number, width: number, y: number, height: number): SVGElement {
  const element = document.createElementNS(SVG, "rect");
  element.classList.add(name);
  for (const [key, value] of Object.entries({ x, width, y, height })) element.setAttribute(key, String(value));
  return element;
}

/** The attributes, each with the probability of every grade. */
function attributesView(graded: Attribute[]): HTMLElement {
  const list = el("ul", { class: "attributes" });
  for (const attribute of graded) list.append(attributeView(attribute));
  return list;
}

function attributeView(attribute: Attribute): HTMLElement {
  const name = ATTRIBUTES[attribute.name] ?? "Attribute";
  const item = el(
    "li",
    {},
    el("div", { class: "what" }, el("strong", {}, name), el("span", { class: "level" }, LEVELS[attribute.level] ?? "")),
    el("div", { class: "grade" }, attribute.grade || attribute.text),
  );
  if (attribute.grade && attribute.text) item.append(el("p", { class: "why" }, attribute.text));
  if (attribute.probabilities.length) item.append(gradesView(attribute));
  return item;
}

/** Numbers stand side by side; words below one another, as they need the room. */
function gradesView(attribute: Attribute): HTMLElement {
  const isNumber = attribute.probabilities.every(({ grade }) => /^\d+$/.test(grade));
  const bars = el("div", { class: isNumber ? "grades numbers" : "grades" });
  for (const { grade, probability } of attribute.probabilities) {
    const bar = el("span", { class: grade === attribute.grade ? "bar chosen" : "bar" });
    const drawn = document.createElementNS(SVG, "svg");
    drawn.setAttribute("viewBox", "0 0 1 1");
    drawn.setAttribute("preserveAspectRatio", "none");
    drawn.setAttribute("aria-hidden", "true");
    drawn.append(isNumber ? rect("share", 0, 1, 1 - probability, probability) : rect("share", 0, probability, 0, 1));
    bar.append(el("span", { class: "name" }, grade), drawn, el("span", { class: "share" }, isNumber ? percent(probability).replace(" ", "") : percent(probability)));
    bars.append(bar);
  }
  return bars;
}

/** The model's words, of a window if there are several. What is new is appended: they come faster than pages are drawn. */
export class Explanation {
  readonly element = el("div", { class: "explanation" });
  private readonly title = el("h3");
  private readonly words = el("p");
  private text = "";

  constructor() {
    this.element.append(this.title, this.words);
  }

  show(known: Judgement, window?: number): void {
    const { text, window: at } = explanationOf(known, window);
    const several = (known.result?.windows.length ?? known.startedWindows) > 1;
    refill(this.title, [several, at], () => [several ? `Explanation of window ${at + 1}` : "Explanation"]);
    this.words.className = known.result || !text ? "" : "writing";
    const shown = text || "The model has not begun to write.";
    if (this.text && shown.startsWith(this.text)) this.words.append(shown.slice(this.text.length));
    else this.words.textContent = shown;
    this.text = shown;
    if (this.words.childNodes.length > 200) this.words.normalize();
  }
}

/** Early and final score. */
export function showScores(place: Element, title: string, final?: Score, early?: Score): void {
  refill(place, [final?.value, early?.value], () => [scoreView(final, title, true), scoreView(early, "Early score", false)]);
}

/** The attributes that are known by now. */
export function showAttributes(place: Element, known: Judgement): void {
  const graded = attributesOf(known);
  refill(place, [known.attributes.length, graded.length, Boolean(known.result)], () => [attributesView(graded)]);
}

/** Facts about the file, and what was odd about it. */
export function mediaView(known: Judgement): HTMLElement {
  const { media } = known;
  if (!media) return el("div");
  const duration = media.duration ? `, ${clock(seconds(media.duration))}` : "";
  const frames = known.result?.video ? `, ${media.sampledFrames} frames scored of ${media.decodedFrames}` : "";
  const box = el(
    "div",
    { class: "media" },
    el("p", {}, `${media.container} · ${media.codec} · ${media.widthPx} × ${media.heightPx} px${duration}${frames}`),
  );
  if (known.result?.partial)
    box.append(el("p", { class: "warning" }, `Scored in part: ${known.result.partial.message}`));
  for (const warning of media.warnings) box.append(el("p", { class: "warning" }, warning));
  return box;
}
