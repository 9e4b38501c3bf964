// @ts-check
/** Which part of the page is there: sections, progress line, window title, and where the focus goes. */

import { byId } from "./elements.js";

/** @typedef {"welcome" | "agent" | "you" | "survey" | "done" | "closed"} Phase */

const SECTION = { welcome: "welcome", agent: "chat", you: "chat", survey: "survey", done: "ending", closed: "ending" };
const STEPS = ["conversation", "survey", "done"];
/** @type {Partial<Record<Phase, number>>} */
const STEP = { agent: 0, you: 0, survey: 1, done: 2 };
/** @type {Partial<Record<Phase, string>>} */
const PREFIX = { you: "Your turn – ", survey: "Survey – ", done: "Done – " };
const WIDE = window.matchMedia("(min-width: 56rem)");

/** @type {Phase | null} */
let shown = null;

/**
 * Shows the section of a phase. The focus moves only when the section changes, to its heading or to where the
 * person goes on: it never leaves the box while someone writes.
 * @param {Phase} phase
 * @param {string} title of the study
 */
export function showPhase(phase, title) {
  const changed = shown === null || SECTION[shown] !== SECTION[phase];
  const first = shown === null;
  shown = phase;
  document.body.dataset.phase = phase;
  document.title = (PREFIX[phase] ?? "") + title;
  byId("title").textContent = title;
  if (!changed) return;
  for (const id of new Set(Object.values(SECTION))) byId(id).hidden = id !== SECTION[phase];
  byId("task").hidden = !(SECTION[phase] === "chat" || phase === "survey");
  byId("leave").hidden = byId("task").hidden;
  showProgress(STEP[phase]);
  if (SECTION[phase] === "chat") focusChat();
  else if (phase !== "welcome") byId(`${SECTION[phase]}-heading`).focus();
  if (!first) window.scrollTo(0, 0);
}

/** A new conversation begins with the task; one that goes on, with the box (where no keyboard pops up). */
function focusChat() {
  const began = byId("log").querySelector(".user") !== null;
  if (!began) byId("task-heading").focus({ preventScroll: true });
  else if (window.matchMedia("(pointer: fine)").matches) byId("box").focus();
  byId("task").querySelector("details").open = WIDE.matches || !began;
}

/** @param {number | undefined} now index of the step; undefined: no line (not begun, or over without an end) */
function showProgress(now) {
  byId("progress").hidden = now === undefined;
  STEPS.forEach((step, index) => {
    const item = byId("progress").querySelector(`[data-step=${step}]`);
    item.classList.toggle("past", now !== undefined && index < now);
    if (index === now) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

/** On a narrow screen the task makes room for the conversation once it has begun; one tap brings it back. */
export function makeRoom() {
  if (!WIDE.matches) byId("task").querySelector("details").open = false;
}

WIDE.addEventListener("change", () => WIDE.matches && (byId("task").querySelector("details").open = true));
