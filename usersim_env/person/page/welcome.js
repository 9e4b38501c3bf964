// @ts-check
/** The first page: what the study is, consent, start. */

import { byId, showProse } from "./elements.js";
import { showPhase } from "./phases.js";

const OFFLINE = "The study cannot be reached. Please check your connection and try again.";

/** Shows the study's own words, or why nobody can start. */
export async function welcome() {
  byId("welcome-retry").hidden = true;
  showProblem("");
  let words = { title: "Study", consent: "", rules: "", version: "", minutes: null, problem: OFFLINE, error: "" };
  let reached = false;
  try {
    const answer = await fetch(`/welcome${location.search}`, { cache: "no-store" });
    words = await answer.json();
    reached = answer.ok;
  } catch {
    // Said below.
  }
  byId("connection").textContent = "";
  showPhase("welcome", words.title ?? "Study");
  for (const heading of byId("welcome").querySelectorAll("h2")) heading.hidden = !reached;
  showProse(byId("welcome-rules"), words.rules ?? "");
  showProse(byId("consent-text"), words.consent ?? "");
  version = words.version ?? "";
  byId("minutes").hidden = !words.minutes;
  byId("minutes").textContent = `Takes about ${words.minutes} minutes.`;
  byId("join").hidden = !reached || Boolean(words.problem);
  byId("welcome-retry").hidden = reached;
  showProblem(reached ? words.problem : words.error || OFFLINE); // an answer that refuses says why in `error`
}

/** @param {string | null | undefined} text */
function showProblem(text) {
  byId("problem").hidden = !text;
  byId("problem").textContent = text ?? "";
}

/** @param {string} text what keeps the person from starting */
function complain(text) {
  byId("join-error").textContent = text;
  byId("consent").setAttribute("aria-invalid", String(Boolean(text) && !byId("consent").checked));
}

let version = ""; // of the consent that is shown
let joining = false; // a second click while the first is on its way

/** @param {Event} event */
async function join(event) {
  event.preventDefault();
  if (joining) return;
  complain("");
  if (!byId("consent").checked) {
    complain("Please tick the box if you want to take part.");
    byId("consent").focus();
    return;
  }
  joining = true;
  byId("start").setAttribute("aria-disabled", "true");
  const answer = await askToJoin();
  if (answer.address) {
    location.replace(answer.address);
    return; // stays busy: the page is about to go
  }
  joining = false;
  byId("start").removeAttribute("aria-disabled");
  complain(answer.error);
}

/** @returns {Promise<{address?: string, error: string}>} the session's address, or why there is none */
async function askToJoin() {
  try {
    const answer = await fetch("/join", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query: Object.fromEntries(new URLSearchParams(location.search)), consent: true, version }),
    });
    const { address, error, changed } = await answer.json();
    if (changed) {
      byId("consent").checked = false; // they agreed to other words
      await welcome();
    }
    if (answer.ok && typeof address === "string" && address.startsWith("/s/")) return { address, error: "" };
    return { error: error ?? "The study could not be started. Please try again." };
  } catch {
    return { error: OFFLINE };
  }
}

byId("join").addEventListener("submit", join);
byId("consent").addEventListener("change", () => complain(""));
byId("welcome-retry").addEventListener("click", welcome);
