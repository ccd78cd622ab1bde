// The page: files come in by drop, choice, paste or the demo; each becomes a card, two are compared.
import { Camera } from "./camera.ts";
import { Card, type Handle } from "./card.ts";
import { comparison } from "./comparison.ts";
import { el, fill } from "./dom.ts";

const MOST_CARDS = 2;
const SAVED = "assay.uploads";
const cards: Card[] = [];
const place = document.querySelector<HTMLElement>("#cards")!;
const verdict = document.querySelector<HTMLElement>("#comparison")!;
const status = document.querySelector<HTMLElement>("#status")!;
const picker = document.querySelector<HTMLInputElement>("#file")!;
const drop = document.querySelector<HTMLElement>("#drop")!;

function hear(sentence: string): void {
  status.textContent = sentence;
}

function changed(): void {
  const handles = cards.map((card) => card.saved).filter((each): each is Handle => Boolean(each));
  sessionStorage.setItem(SAVED, JSON.stringify(handles));
  const [first, second] = cards.map((card) => card.known.result?.score);
  const says = cards.length === 2 && first && second ? comparison(first, second) : "";
  fill(verdict, says && el("p", {}, says));
  if (says) hear(says);
  document.body.classList.toggle("two", cards.length === 2);
}

function closed(card: Card): void {
  cards.splice(cards.indexOf(card), 1);
  changed();
  picker.focus();
}

function add(file: File | undefined, name: string, handle?: Handle): void {
  if (cards.length === MOST_CARDS) {
    hear("Two files are compared at a time; remove one first.");
    document.querySelector("#full")!.textContent = "Two files are compared at a time; remove one first.";
    return;
  }
  document.querySelector("#full")!.textContent = "";
  const card = new Card(file, name, hear, changed, closed);
  cards.push(card);
  place.append(card.element);
  changed();
  void card.run(handle);
}

function addAll(files: Iterable<File>): void {
  for (const file of files) {
    if (file.size) add(file, file.name);
    else hear(`${file.name.slice(0, 80)} is empty`);
    if (!file.size) document.querySelector("#full")!.textContent = "The file is empty; choose another.";
  }
}

picker.addEventListener("change", () => {
  addAll(picker.files ?? []);
  picker.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"] as const)
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop") addAll(event.dataTransfer?.files ?? []);
  });
document.addEventListener("paste", (event) => addAll(event.clipboardData?.files ?? []));
document.querySelector("#demo")!.addEventListener("click", async () => {
  const answer = await fetch("/page/demo.jpg").catch(() => undefined);
  if (!answer?.ok) return hear("The server cannot be reached.");
  add(new File([await answer.blob()], "demo photo", { type: "image/jpeg" }), "demo photo");
});
const cameraButton = document.querySelector<HTMLButtonElement>("#camera")!;
cameraButton.addEventListener("click", () => {
  cameraButton.disabled = true;
  const camera = new Camera(hear, () => (cameraButton.disabled = false));
  place.before(camera.element);
  void camera.run();
});

for (const handle of JSON.parse(sessionStorage.getItem(SAVED) ?? "[]") as Handle[]) add(undefined, handle.name, handle);
