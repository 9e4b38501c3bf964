// @ts-check
/** One person's session: joins the connection, the moves and the parts of the page. */

import { Chat, setText } from "./chat.js";
import { confirmed, withdrawQuestion } from "./confirm.js";
import { Connection } from "./connection.js";
import { Memory } from "./draft.js";
import { byId, showProse } from "./elements.js";
import { showEnding } from "./ending.js";
import { Moves } from "./moves.js";
import { makeRoom, showPhase } from "./phases.js";
import { Survey } from "./survey.js";

const LOST = "Connection lost. Trying again; nothing that you wrote is gone.";
/** @type {Record<number, string>} */
const CLOSED = {
  1008: "The study has closed this connection.",
  4000: "This conversation is open in too many tabs. Close the others, then go on here.",
};
const LEAVING = {
  delete: "What you have written so far is deleted, and you cannot come back.",
  keep: "What you have written so far is kept, as the consent text says, and you cannot come back.",
  local: "The conversation is given up, and you cannot come back.",
};

/** @type {Set<string | null>} */
const OVER = new Set(["done", "closed"]);

export class Session {
  constructor() {
    const memory = new Memory("localStorage");
    this.memory = memory;
    this.title = "Study";
    /** @type {"delete" | "keep" | "local"} */
    this.withdrawal = "local";
    /** @type {string | null} */
    this.phase = null;
    this.first = true; // no state yet on this connection
    this.chat = new Chat(memory, (text) => this.move({ do: "say", text, seen: this.chat.messages.length }));
    this.survey = new Survey(memory, (answers) => this.move({ do: "survey", answers }));
    this.connection = new Connection(location.pathname.replace(/\/+$/, ""), {
      frame: (frame) => this.receive(frame),
      down: () => setText(byId("connection"), LOST),
      closed: (code) => this.closed(code),
      gone: (text) => this.show({ phase: "closed", ending: { text, code: null, redirect: null } }),
    });
    this.moves = new Moves(new Memory("sessionStorage"), {
      send: (move) => this.connection.send(move),
      stored: (move) => this.stored(move),
      refused: (move, text) => this.refused(move, text),
      waiting: (text) => this.complain(`${text} Trying again.`),
      stuck: () => this.connection.replace(),
    });
    byId("end").addEventListener("click", () => this.end());
    byId("leave").addEventListener("click", () => this.leave());
    byId("reconnect").addEventListener("click", () => this.connect());
  }

  connect() {
    byId("reconnect").hidden = true;
    setText(byId("connection"), "Connecting");
    this.connection.open();
  }

  /** @param {any} frame */
  receive(frame) {
    if (frame.type === "hello") this.greet(frame);
    else if (frame.type === "state") this.change(frame);
    else if (frame.type === "ack") this.moves.acknowledge(frame.id);
    else if (frame.type === "refused") this.moves.refuse(frame);
    this.lock();
  }

  /** @param {any} hello */
  greet(hello) {
    this.first = true;
    this.title = hello.title;
    this.withdrawal = hello.withdrawal ?? "local";
    byId("leave").textContent = hello.withdrawal ? "Leave the study" : "Leave";
    setText(byId("instruction"), hello.instruction);
    showProse(byId("rules"), hello.rules);
    byId("hint-text").textContent = hello.hint;
    this.chat.most = hello.max_chars;
    this.survey.build(hello.survey);
    setText(byId("connection"), "");
  }

  /** @param {any} state */
  change(state) {
    const opened = this.phase === null;
    if (!this.chat.show(state.from, state.messages, !opened)) {
      this.connection.replace(); // messages are missing: the next connection brings them all
      return;
    }
    this.show(state);
    this.moves.settle(state.last, this.first);
    this.first = false;
  }

  /** @param {{phase: any, activity?: number | null, ending: any}} state */
  show({ phase, activity = null, ending }) {
    if (OVER.has(this.phase) && !OVER.has(phase)) {
      location.reload(); // the page was away when the next conversation began: it starts from nothing
      return;
    }
    if (phase !== this.phase) withdrawQuestion();
    this.phase = phase;
    if (phase === "agent" || phase === "you") this.chat.turn(phase, activity);
    if (phase === "survey") byId("look-back").append(byId("log"));
    if (phase === "done" || phase === "closed") this.finish(phase, ending);
    else this.connection.expect(phase === "agent");
    showPhase(phase, this.title);
  }

  /**
   * @param {"done" | "closed"} phase
   * @param {any} ending
   */
  finish(phase, ending) {
    showEnding(phase, ending);
    setText(byId("connection"), "");
    if (ending?.next !== "later") this.connection.stop(); // else it is told when the next conversation begins
    this.moves.drop();
    for (const name of ["draft", "answers"]) this.memory.write(name, null); // others may use this device
  }

  /** @param {import("./moves.js").Wish} wish */
  move(wish) {
    this.complain("");
    this.moves.make(wish);
    this.lock();
  }

  /** @param {import("./moves.js").Move} move */
  stored(move) {
    this.complain("");
    if (move.do !== "say") return;
    this.chat.clear();
    makeRoom();
  }

  /**
   * @param {import("./moves.js").Move | null} move
   * @param {string} text
   */
  refused(move, text) {
    if (move?.do === "say" && !this.chat.text) this.chat.box.value = move.text;
    this.chat.changed();
    this.complain(text);
  }

  /** @param {string} text */
  complain(text) {
    if (this.phase === "survey") this.survey.complain(text);
    else this.chat.complain(text);
  }

  lock() {
    this.chat.lock(this.moves.busy);
    this.survey.lock(this.moves.busy);
  }

  /** @param {number} code */
  closed(code) {
    if (code === 1009) this.moves.giveUp("The message was too large for the server. Please shorten it.");
    this.lock();
    if (!(code in CLOSED)) return;
    setText(byId("connection"), CLOSED[code]);
    byId("reconnect").hidden = false;
  }

  async end() {
    if (this.phase !== "you" || this.moves.busy) {
      this.complain("You can end the conversation when it is your turn.");
      return;
    }
    const unsent = this.chat.text ? " The text in the box is not sent." : "";
    const words = { title: "End the conversation?", yes: "End it", no: "Go on talking" };
    const text = `The survey comes next; there is no way back to the conversation.${unsent}`;
    if (await confirmed({ ...words, text })) this.move({ do: "stop", text: "", seen: this.chat.messages.length });
  }

  async leave() {
    const [title, yes] = this.withdrawal === "local" ? ["Leave?", "Leave"] : ["Leave the study?", "Leave the study"];
    if (await confirmed({ title, text: LEAVING[this.withdrawal], yes, no: "Stay" })) this.move({ do: "leave" });
  }
}
