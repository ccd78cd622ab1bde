// The token that the server asks for: this tab keeps it until it is closed, and shows it to nobody but the server.
import { el, fill } from "./dom.ts";

const SAVED = "assay.token";
const place = document.querySelector<HTMLElement>("#token")!;
let token = sessionStorage.getItem(SAVED) ?? "";
let asked: { input: HTMLInputElement; trouble: HTMLElement; answered: Promise<void> } | undefined;

/** The token in use; empty if there is none. */
export function currentToken(): string {
  return token;
}

/** What every call to the server carries. */
export function authorization(): Record<string, string> {
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Returns once there is another token than the one that was refused. */
export function anotherToken(refused: string): Promise<void> {
  if (token !== refused) return Promise.resolve();
  asked ??= ask();
  asked.trouble.textContent = refused ? "The server does not accept this token any more. It may have expired; enter another one." : "";
  asked.input.focus();
  return asked.answered;
}

function ask() {
  const input = el("input", {
    type: "password", id: "token-text", autocomplete: "off", spellcheck: "false", maxlength: "8000", "aria-describedby": "token-trouble",
  });
  const trouble = el("p", { id: "token-trouble", class: "trouble", role: "alert" });
  const button = el("button", { type: "submit" }, "Use token");
  const answered = new Promise<void>((resolve) => {
    const submit = async (event: Event) => {
      event.preventDefault();
      button.disabled = true;
      const wrong = await whatIsWrong(input.value);
      button.disabled = false;
      trouble.textContent = wrong;
      if (wrong) return input.select();
      asked = undefined;
      showInUse();
      resolve();
    };
    const label = el("label", { for: "token-text" }, "This server asks for a token, such as an API key");
    fill(place, el("form", { submit: (event) => void submit(event) }, label, el("div", { class: "ways" }, input, button), trouble));
  });
  return { input, trouble, answered };
}

/** Tries what was entered, and keeps it if the server accepts it; returns a sentence otherwise. */
async function whatIsWrong(entered: string): Promise<string> {
  const written = entered.trim().replace(/^bearer\s+/i, "");
  if (!written) return "Enter the token first.";
  if (!/^[\x21-\x7e]+$/.test(written)) return "This is not a token: it has blanks or letters that no token has.";
  try {
    const { status } = await fetch("/v1/models", { headers: { authorization: `Bearer ${written}` } });
    if (status === 401) return "The server does not accept this token. It may be mistyped or expired; enter another one.";
  } catch {
    return "The server cannot be reached. Try again in a moment.";
  }
  token = written;
  sessionStorage.setItem(SAVED, token);
  return "";
}

function showInUse(): void {
  const forget = () => {
    token = "";
    sessionStorage.removeItem(SAVED);
    fill(place);
  };
  fill(place, token && el("p", { class: "hint" }, "A token is in use. ", el("button", { type: "button", class: "quiet", click: forget }, "Forget token")));
}

showInUse();
