// @ts-check
/** One session, to read only: the task and what was said, in order. */

import { byId, make } from "./elements.js";
import { when } from "./overview.js";

const NAMES = { agent: "Agent", user: "Participant", tool: "Tool", note: "Note" };

/** @typedef {(what: string) => Promise<Response | null>} Get */

let open = ""; // id of the session that is shown
let seen = ""; // what is shown of it

/**
 * @param {string} id of the session
 * @param {Get} get
 */
export async function openViewer(id, get) {
  open = id;
  seen = "";
  byId("viewer-title").textContent = `Session ${id}`;
  for (const part of ["facts", "instruction", "events"]) byId(`viewer-${part}`).replaceChildren();
  byId("viewer").showModal();
  byId("viewer-title").focus();
  await refreshViewer(get);
}

/**
 * Brings the open session up to date, if there is one.
 * @param {Get} get
 */
export async function refreshViewer(get) {
  if (!byId("viewer").open) return;
  const asked = open;
  const answer = await get(`sessions/${encodeURIComponent(asked)}`);
  const text = answer ? await answer.text() : seen;
  if (text === seen || asked !== open) return;
  seen = text;
  show(JSON.parse(text));
}

/** @param {any} session */
function show(session) {
  const outcome = session.failure ?? (session.reward === null ? "not scored" : `reward ${session.reward}`);
  byId("viewer-facts").textContent = `${session.task_id}, batch ${session.batch}, participant ${session.participant}, `
    + [session.state, outcome, session.problem].filter(Boolean).join(", ")
    + `; agreed to consent ${session.consent || "without a number"}`
    + `${session.agreed ? ` on ${when(session.agreed)}` : ""}: ${session.agreed_to}`;
  byId("viewer-instruction").textContent = session.instruction;
  byId("viewer-events").replaceChildren(...session.events.map(eventLine));
}

/** @param {{who: keyof NAMES, text: string, at: string}} event */
function eventLine({ who, text, at }) {
  const line = make("li", who in NAMES ? who : "note");
  const words = make("p", "words", text);
  words.dir = "auto";
  line.append(make("div", "note", `${NAMES[who] ?? who}, ${when(at, "medium")}`), words);
  return line;
}
