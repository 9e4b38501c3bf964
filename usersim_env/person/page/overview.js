// @ts-check
/** The overview: counts, progress of batches and tasks, failures, sessions. Rows stay in place over a refresh. */

import { byId, make } from "./elements.js";

/** @typedef {{text: string, className?: string, button?: boolean, bar?: {done: number, of: number}}} Cell */

/** @type {any[]} */
let sessions = [];

/** @param {any} overview the answer of the server */
export function showOverview(overview) {
  const { study, counts, median_minutes: median, failures, batches, tasks, consents, sessions: rows } = overview;
  byId("title").textContent = study.title;
  document.title = `Administration – ${study.title}`;
  byId("study").textContent = `${study.domain}, split ${study.split}; agent ${study.agent}; `
    + `${study.per_task} per task; started ${when(study.started)}`;
  const time = median === null ? "No session is done yet." : `Median time: ${median.toFixed(1)} minutes.`;
  byId("median").textContent = time;
  byId("counts").replaceChildren(...Object.entries(counts).map(([name, count]) => {
    const pair = make("div");
    pair.append(make("dt", "", name), make("dd", "", String(count)));
    return pair;
  }));
  const kinds = Object.entries(failures);
  byId("failures").replaceChildren(...kinds.map(([kind, count]) => make("li", "", `${kind}: ${count}`)));
  byId("failures-heading").textContent = kinds.length ? "Failures" : "No failures";
  byId("consents").replaceChildren(...consents.map((/** @type {string} */ line) => make("li", "", line)));
  fill(byId("batches"), batches, ({ batch }) => String(batch), ({ batch, done, open, of }) => [
    { text: String(batch) }, { text: `Batch ${batch}`, bar: { done, of } }, number(done), number(open),
  ]);
  fill(byId("tasks"), tasks, (task) => task.task_id, ({ task_id: id, done, open, wanted }) => [
    { text: id }, { text: id, bar: { done, of: wanted } }, number(`${done} of ${wanted}`), number(open),
  ]);
  sessions = rows;
  showSessions();
}

/** The sessions of the state that was chosen. */
function showSessions() {
  const state = byId("which").value;
  const chosen = sessions.filter((row) => !state || row.state === state);
  byId("shown").textContent = `${chosen.length} of ${sessions.length}`;
  fill(byId("sessions"), chosen, ({ id }) => id, sessionCells);
  chosen.forEach((row, index) => (byId("sessions").rows[index].dataset.state = row.state));
}

/**
 * @param {any} row
 * @returns {Cell[]}
 */
function sessionCells(row) {
  return [
    { text: row.id, button: true }, { text: row.participant }, { text: row.task_id }, number(row.batch),
    { text: row.state === "open" ? `open (${row.phase})` : row.state, className: "state" },
    { text: row.connected ? "yes" : "" }, number(row.turns), { text: when(row.started) },
    number(row.minutes === null ? "" : row.minutes.toFixed(1)), { text: row.flags.join(", ") },
    { text: [row.failure, row.problem].filter(Boolean).join(": ") }, number(row.reward ?? "not scored"),
    { text: row.overall ?? "" }, { text: row.consent },
  ];
}

export function watchFilter() {
  byId("which").addEventListener("change", showSessions);
}

/**
 * @param {number | string} value
 * @returns {Cell}
 */
function number(value) {
  return { text: String(value), className: "number" };
}

/**
 * A time of the server as the reader's clock shows it.
 * @param {string | null} iso
 * @param {"short" | "medium"} [timeStyle] medium has seconds
 */
export function when(iso, timeStyle = "short") {
  return iso ? new Date(iso).toLocaleString([], { dateStyle: "short", timeStyle }) : "";
}

/**
 * Brings the rows of a table up to date: a row that is known keeps its elements, and so the focus and the selection.
 * @param {any} body
 * @param {any[]} rows
 * @param {(row: any) => string} keyOf
 * @param {(row: any) => Cell[]} cellsOf
 */
function fill(body, rows, keyOf, cellsOf) {
  const known = new Map(Array.from(body.rows, (row) => [row.dataset.key, row]));
  const wanted = rows.map((row) => {
    const element = known.get(keyOf(row)) ?? make("tr");
    element.dataset.key = keyOf(row);
    cellsOf(row).forEach((cell, index) => fillCell(element.cells[index] ?? element.appendChild(make("td")), cell));
    return element;
  });
  const stay = new Set(wanted);
  for (const row of known.values()) if (!stay.has(row)) row.remove();
  wanted.forEach((row, index) => body.rows[index] === row || body.insertBefore(row, body.rows[index] ?? null));
}

/**
 * @param {HTMLElement} place
 * @param {Cell} cell
 */
function fillCell(place, { text, className = "", button = false, bar }) {
  if (className) place.className = className;
  if (bar) {
    const progress = place.querySelector("progress") ?? place.appendChild(make("progress"));
    progress.setAttribute("aria-label", `${text}: ${bar.done} of ${bar.of} done`);
    progress.max = Math.max(bar.of, 1);
    progress.value = bar.done;
    return;
  }
  const target = button ? (place.querySelector("button") ?? place.appendChild(make("button", "quiet"))) : place;
  if (target.textContent !== text) target.textContent = text;
}
