// @ts-check
/**
 * The one move that is on its way: kept until the server says that it is stored, sent again with the same id.
 *
 * The server takes each id once, so sending again is always safe. The move is remembered over a reload of the tab.
 */

/** @typedef {{do: "say" | "stop" | "survey" | "leave", text?: string, seen?: number, answers?: object}} Wish */
/** @typedef {Wish & {id: string}} Move */

const PATIENCE = 15_000; // ms without an answer before the socket is taken for dead
const FIRST_PAUSE = 1_000; // ms before a move that could not be saved is sent again; doubles
const LONGEST_PAUSE = 10_000;
const AGAIN = new Set(["not_saved", "slow_down"]);

/** A random UUID; `crypto.randomUUID` is missing where the study is served without TLS. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

export class Moves {
  /**
   * @param {import("./draft.js").Memory} memory of this tab
   * @param {{
   *   send: (move: Move) => boolean, stored: (move: Move) => void, refused: (move: Move | null, text: string) => void,
   *   waiting: (text: string) => void, stuck: () => void,
   * }} on `send` is false while there is no connection; `stuck`: no answer came
   */
  constructor(memory, on) {
    this.memory = memory;
    this.on = on;
    /** @type {Move | null} */
    this.pending = memory.read("move");
    this.stored = false;
    this.pause = FIRST_PAUSE;
    this.timer = 0;
  }

  /** True from a move until the state that it led to: a second click finds it and does nothing. */
  get busy() {
    return this.pending !== null;
  }

  /**
   * Starts a move; false while another one is on its way. Leaving does not wait for anything.
   * @param {Wish} wish
   */
  make(wish) {
    if (this.busy && (wish.do !== "leave" || this.pending?.do === "leave")) return false;
    this.pending = { id: newId(), ...wish };
    this.stored = false;
    this.pause = FIRST_PAUSE;
    this.memory.write("move", this.pending);
    this.deliver();
    return true;
  }

  /** Sends the pending move, again if need be. */
  deliver() {
    clearTimeout(this.timer);
    if (!this.pending || this.stored || !this.on.send(this.pending)) return;
    this.timer = setTimeout(this.on.stuck, PATIENCE);
  }

  /**
   * A state came: the move may have led to it.
   * @param {string | null} last id of the last stored move
   * @param {boolean} first the first state of this connection: what is not stored by now never arrived
   */
  settle(last, first) {
    if (this.pending && last === this.pending.id) this.acknowledge(last);
    if (this.stored) this.drop();
    else if (first) this.deliver();
  }

  /** @param {string} id */
  acknowledge(id) {
    if (this.pending?.id !== id || this.stored) return;
    clearTimeout(this.timer);
    this.stored = true;
    this.memory.write("move", null);
    this.on.stored(this.pending);
  }

  /** @param {{id: string | null, code: string, text: string}} frame */
  refuse({ id, code, text }) {
    if (this.stored || (id !== null && id !== this.pending?.id)) return;
    if (this.pending && AGAIN.has(code)) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.deliver(), this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
      this.on.waiting(text);
      return;
    }
    this.giveUp(text);
  }

  /**
   * Takes the pending move back, with the reason.
   * @param {string} text
   */
  giveUp(text) {
    const move = this.pending;
    this.drop();
    this.on.refused(move, text);
  }

  drop() {
    clearTimeout(this.timer);
    this.pending = null;
    this.stored = false;
    this.memory.write("move", null);
  }
}
