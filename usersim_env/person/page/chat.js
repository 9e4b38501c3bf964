// @ts-check
/** The conversation: the messages, whose turn it is, and the box. */

import { byId, lengthOf, make, showProse } from "./elements.js";

const NEAR = 0.8; // share of the longest message from which on the characters are counted aloud
const NAMES = { agent: "Agent", user: "You" };
const TURN = { agent: "The agent is writing", you: "Your turn" };

/** @typedef {{role: "agent" | "user", text: string, html?: string}} Message */

export class Chat {
  /**
   * @param {import("./draft.js").Memory} memory of this address
   * @param {(text: string) => void} say called with a message that may be sent
   */
  constructor(memory, say) {
    this.memory = memory;
    this.say = say;
    this.most = 4000;
    /** @type {Message[]} */
    this.messages = [];
    this.log = byId("log");
    this.box = byId("box");
    this.box.value = memory.read("draft") ?? "";
    stayAtEnd(this.log);
    this.box.addEventListener("input", () => this.changed());
    this.box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    byId("composer").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.submit();
    });
  }

  /** The message as it would be sent. */
  get text() {
    return this.box.value.trim();
  }

  /**
   * Replaces the list from an index on; what did not change stays in place. Says false if messages are missing.
   * @param {number} from
   * @param {Message[]} messages
   * @param {boolean} aloud announce the agent's new words (not when the page has just been opened)
   */
  show(from, messages, aloud) {
    if (from > this.messages.length) return false;
    const now = [...this.messages.slice(0, from), ...messages];
    let same = 0;
    while (same < now.length && this.messages[same]?.role === now[same].role
      && this.messages[same].text === now[same].text) same += 1;
    while (this.log.children.length > same) this.log.lastElementChild.remove();
    for (const message of now.slice(same)) this.log.append(line(message));
    const said = now.slice(same).filter(({ role }) => role === "agent");
    if (aloud && said.length) byId("announcement").textContent = said.map(({ text }) => `Agent: ${text}`).join("\n");
    this.messages = now;
    if (same < now.length) this.scroll(this.log.lastElementChild);
    byId("hint").hidden = !byId("hint-text").textContent || now.some(({ role }) => role === "user");
    return true;
  }

  /**
   * Brings the newest message into view: its end, or its beginning if it is longer than the window.
   * @param {any} last
   */
  scroll(last) {
    const room = Math.min(this.log.clientHeight, window.innerHeight);
    last.scrollIntoView({ block: last.offsetHeight > room ? "start" : "nearest" });
  }

  /**
   * @param {"agent" | "you"} phase
   * @param {number | null} activity tool calls of the agent since its last words
   */
  turn(phase, activity) {
    this.phase = phase;
    setText(byId("turn"), TURN[phase]);
    byId("activity").textContent = activity ? `The agent has looked something up (${activity}).` : "";
  }

  /**
   * Locks the box while a move is on its way: its words stay in sight until they are stored.
   * @param {boolean} busy
   */
  lock(busy) {
    const closed = busy || this.phase !== "you";
    this.box.readOnly = busy;
    for (const id of ["send", "end"]) byId(id).setAttribute("aria-disabled", String(closed));
  }

  /** @param {string} text why something did not work; empty: all is well */
  complain(text) {
    byId("notice").textContent = text;
  }

  clear() {
    this.box.value = "";
    this.changed();
  }

  changed() {
    this.memory.write("draft", this.box.value);
    const length = lengthOf(this.text);
    byId("counter").hidden = length < NEAR * this.most;
    byId("counter").textContent = `${length.toLocaleString("en")} of ${this.most.toLocaleString("en")} characters`;
    byId("counter").classList.toggle("over", length > this.most);
    this.box.setAttribute("aria-invalid", String(length > this.most));
    this.complain(length > this.most ? `Too long by ${length - this.most}. Please shorten the message.` : "");
  }

  /**
   * Enter sends where there is a keyboard. While an input method composes a word, Enter belongs to it (229: Safari
   * says so after the composition has ended).
   * @param {KeyboardEvent} event
   */
  key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (!window.matchMedia("(pointer: fine)").matches) return;
    event.preventDefault();
    if (!event.repeat) this.submit();
  }

  submit() {
    this.box.focus();
    if (this.box.readOnly) return;
    if (this.phase !== "you") this.complain("It is the agent's turn. Your text stays in the box.");
    else if (!this.text) this.complain("Please write a message first.");
    else if (lengthOf(this.text) <= this.most) this.say(this.text);
  }
}

/** @param {Message} message */
function line({ role, text, html }) {
  const element = make("div", `line ${role}`);
  const words = make("div", `message ${role}`, text);
  if (html) {
    words.classList.add("prose");
    showProse(words, html);
  }
  words.dir = "auto";
  element.append(make("span", "who", NAMES[role]), words);
  return element;
}

/**
 * The box grows, the window shrinks (keyboard, turned phone): who read the newest message goes on reading it.
 * @param {HTMLElement} log
 */
function stayAtEnd(log) {
  let height = log.clientHeight;
  let atEnd = true;
  log.addEventListener("scroll", () => {
    // While the height is changing, a distance from the end says nothing of the reader.
    if (log.clientHeight === height) atEnd = log.scrollHeight - log.scrollTop - height < 40;
  });
  new ResizeObserver(() => {
    height = log.clientHeight;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }).observe(log);
}

/**
 * Sets a text only if it is another one: a live region would speak again.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
