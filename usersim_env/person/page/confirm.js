// @ts-check
/** Asking back before something that cannot be undone. */

import { byId } from "./elements.js";

/**
 * Resolves to true if the person says yes. The native dialog keeps the focus inside and gives it back.
 * @param {{title: string, text: string, yes: string, no: string}} words
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, yes, no }) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  byId("confirm-no").textContent = no;
  dialog.returnValue = "no"; // what Escape means
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Takes a question back that no longer makes sense, as after a change of phase. */
export function withdrawQuestion() {
  if (byId("confirm").open) byId("confirm").close("no");
}
