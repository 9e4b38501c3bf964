// @ts-check
/** The survey: every question is required, and what was ticked outlives a reload. */

import { byId, make } from "./elements.js";

/** @typedef {{field: string, text: string, answers: string[]}} Question */

export class Survey {
  /**
   * @param {import("./draft.js").Memory} memory of this address
   * @param {(answers: Record<string, string>) => void} send called with all the answers
   */
  constructor(memory, send) {
    this.memory = memory;
    this.send = send;
    /** @type {Question[]} */
    this.questions = [];
    byId("survey-form").addEventListener("change", () => this.changed());
    byId("survey-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.submit();
    });
  }

  /**
   * Makes the form, once.
   * @param {Question[]} questions
   */
  build(questions) {
    if (this.questions.length) return;
    this.questions = questions;
    const kept = this.memory.read("answers") ?? {};
    byId("questions").append(...questions.map((question, index) => fieldset(question, index + 1, kept[question.field])));
    this.count();
  }

  /** Label by field, of what is answered. */
  get answers() {
    /** @type {Record<string, string>} */
    const found = {};
    for (const input of byId("survey-form").querySelectorAll("input:checked")) found[input.name] = input.value;
    return found;
  }

  changed() {
    this.memory.write("answers", this.answers);
    const open = new Set(this.count().map(({ field }) => `question-${field}`));
    for (const set of byId("questions").querySelectorAll(".open")) set.classList.toggle("open", open.has(set.id));
    if (!open.size) this.complain("");
  }

  /** Says how many are answered; returns the others. */
  count() {
    const answers = this.answers;
    const open = this.questions.filter(({ field }) => !(field in answers));
    byId("answered").textContent = `${this.questions.length - open.length} of ${this.questions.length} answered`;
    return open;
  }

  submit() {
    const open = this.count();
    if (open.length) this.list(open);
    else this.send(this.answers);
  }

  /**
   * The summary of what is missing, with a way to each.
   * @param {Question[]} open
   */
  list(open) {
    this.complain(open.length === 1 ? "One question is still open:" : `${open.length} questions are still open:`);
    const links = make("ul");
    for (const { field, text } of open) {
      const set = byId(`question-${field}`);
      set.classList.add("open");
      const link = make("a", "", text);
      link.href = `#question-${field}`;
      link.addEventListener("click", (/** @type {Event} */ event) => {
        event.preventDefault();
        set.scrollIntoView();
        set.querySelector("input").focus();
      });
      const item = make("li");
      item.append(link);
      links.append(item);
    }
    byId("survey-errors").append(links);
    byId("survey-errors").focus();
  }

  /** @param {string} text why the answers were not taken; empty: all is well */
  complain(text) {
    const place = byId("survey-errors");
    place.replaceChildren(...(text ? [make("p", "", text)] : []));
    place.hidden = !text;
  }

  /** @param {boolean} busy the answers are on their way */
  lock(busy) {
    byId("submit-survey").setAttribute("aria-disabled", String(busy));
  }
}

/**
 * @param {Question} question
 * @param {number} number
 * @param {string | undefined} kept the label that was ticked before a reload
 */
function fieldset({ field, text, answers }, number, kept) {
  const set = make("fieldset");
  set.id = `question-${field}`;
  const legend = make("legend", "", `${number}. ${text}`);
  set.append(legend);
  for (const label of answers) {
    const choice = make("label", "choice");
    const input = make("input");
    Object.assign(input, { type: "radio", name: field, value: label, required: true, checked: label === kept });
    choice.append(input, make("span", "", label));
    set.append(choice);
  }
  return set;
}
