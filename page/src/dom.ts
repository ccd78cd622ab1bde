// Elements without markup: everything that came from elsewhere is text.
type Content = Node | string | null | undefined | false;

export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string | boolean | EventListener> = {},
  ...content: Content[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false) element.setAttribute(key, value);
  }
  for (const each of content) if (each) element.append(each);
  return element;
}

export function fill(element: Element, ...content: Content[]): void {
  element.replaceChildren(...content.filter((each): each is Node | string => Boolean(each)));
}

const keys = new WeakMap<Element, string>();

/** Fills an element again where the key of what it shows is another than the last time. */
export function refill(element: Element, key: unknown[], make: () => Content[]): void {
  const written = key.join("|");
  if (keys.get(element) === written) return;
  keys.set(element, written);
  fill(element, ...make());
}

const SHOWN_MS = 50;

/** A function that has `draw` called before a frame soon, and not more often than anybody can read what has come. */
export function paced(draw: () => void): () => void {
  let isDue = false;
  let drawnAt = -SHOWN_MS;
  const atNextFrame = () =>
    requestAnimationFrame(() => {
      isDue = false;
      drawnAt = performance.now();
      draw();
    });
  return () => {
    if (isDue) return;
    isDue = true;
    const early = drawnAt + SHOWN_MS - performance.now();
    if (early > 0) setTimeout(atNextFrame, early);
    else atNextFrame();
  };
}
