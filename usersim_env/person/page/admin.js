// @ts-check
/** The admin page: the token, the overview every five seconds, the download. Nothing here changes the study. */

import { byId } from "./elements.js";
import { showOverview, watchFilter } from "./overview.js";
import { openViewer, refreshViewer } from "./viewer.js";

const EVERY = 5_000; // ms between two overviews
const KEY = "study admin token";

let token = "";
let timer = 0;

/** Takes the token out of the address, so that no history, bookmark or screenshot holds it. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(null, "", location.pathname);
  try {
    if (given) sessionStorage.setItem(KEY, given);
    token = given ?? sessionStorage.getItem(KEY) ?? "";
  } catch {
    token = given ?? ""; // storage is blocked: known until the next reload
  }
}

/** @param {string} value the empty text forgets it */
function keepToken(value) {
  token = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Known until the next reload.
  }
}

/** @param {string} text why it asks (again) */
function ask(text) {
  keepToken("");
  clearTimeout(timer);
  byId("viewer").close();
  for (const id of ["overview", "actions"]) byId(id).hidden = true;
  byId("freshness").textContent = "";
  byId("trouble").textContent = text;
  byId("ask").hidden = false;
  byId("token").value = "";
  byId("token").focus();
}

/**
 * An answer of the admin interface; null if there is none, which is then said on the page.
 * @param {string} what
 * @returns {Promise<Response | null>}
 */
async function get(what) {
  const used = token;
  try {
    const headers = { Authorization: `Bearer ${used}` };
    const answer = await fetch(`/admin/api/${what}`, { headers, cache: "no-store" });
    if (answer.ok && used === token) return answer;
    if (answer.status === 401 && used === token) ask("The server does not accept this token.");
    else if (used === token) byId("trouble").textContent = `The server answered ${answer.status} to ${what}.`;
  } catch {
    // A TypeError of fetch (no server), or of a token that no header can hold.
    if (used === token) byId("trouble").textContent = "The server cannot be reached, or the token has odd characters.";
  }
  return null;
}

/** One overview, and the next one in a while; nothing while nobody looks. */
async function refresh() {
  clearTimeout(timer);
  if (!token || document.hidden) return;
  const answer = await get("overview");
  if (answer) {
    const overview = await answer.json();
    showOverview(overview);
    byId("trouble").textContent = overview.trouble ? `Nothing can be saved: ${overview.trouble}.` : "";
    byId("freshness").textContent = `Up to date at ${new Date().toLocaleTimeString()}`;
    for (const id of ["overview", "actions"]) byId(id).hidden = false;
    byId("ask").hidden = true;
    await refreshViewer(get);
  }
  clearTimeout(timer);
  if (token) timer = setTimeout(refresh, EVERY);
}

/** The token goes in a header, which no plain link can send: fetch first, then save what came. */
async function download() {
  const answer = await get("export");
  if (!answer) return;
  const name = /filename="([\w.-]+)"/.exec(answer.headers.get("Content-Disposition") ?? "");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name?.[1] ?? "traces.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

byId("ask").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  const value = byId("token").value.trim();
  if (value) keepToken(value);
  byId("trouble").textContent = value ? "" : "Please enter the token.";
  refresh();
});
byId("export").addEventListener("click", download);
byId("forget").addEventListener("click", () => ask(""));
byId("sessions").addEventListener("click", (/** @type {any} */ event) => {
  const button = event.target.closest("button");
  if (button) openViewer(button.textContent, get);
});
document.addEventListener("visibilitychange", refresh);
window.addEventListener("hashchange", () => {
  takeToken();
  refresh();
});

watchFilter();
takeToken();
if (token) refresh();
else ask("");
