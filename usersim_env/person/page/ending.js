// @ts-check
/** The end: thanks, the completion code, the way back. Nothing happens by itself. */

import { byId } from "./elements.js";

/**
 * @param {"done" | "closed"} phase
 * @param {{text: string, code: string | null, redirect: string | null, next?: "later" | "now" | null} | null} ending
 */
export function showEnding(phase, ending) {
  byId("ending-heading").textContent = phase === "done" ? "Thank you" : "This session is over";
  byId("ending-text").textContent = ending?.text ?? "";
  byId("completion").hidden = !ending?.code;
  byId("code").textContent = ending?.code ?? "";
  const back = safeAddress(ending?.redirect ?? null);
  byId("redirect").hidden = back === null;
  if (back !== null) byId("redirect").href = back;
  byId("next").hidden = ending?.next !== "now";
  if (ending?.next) {
    byId("may-close").textContent = ending.next === "now" ? "" : "If there is another conversation, it begins on this page.";
    return;
  }
  byId("may-close").textContent = `You may close this page${ending?.code || back ? " afterwards" : " now"}.`;
}

/**
 * The address if a browser may go there: never `javascript:` or the like.
 * @param {string | null} address
 */
function safeAddress(address) {
  return address !== null && /^https?:\/\//i.test(address) ? address : null;
}

/** Copies the code; where the browser forbids it (no TLS, no permission), selects it for the person to copy. */
async function copy() {
  const code = byId("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    byId("copied").textContent = "Copied.";
  } catch {
    window.getSelection()?.selectAllChildren(code);
    byId("copied").textContent = "The code is selected: copy it with Ctrl+C, or Copy on a phone.";
  }
}

byId("copy").addEventListener("click", copy);
byId("next").addEventListener("click", () => location.reload());
