// @ts-check
/** The socket: opens it, notices when it is dead, opens it again. Knows nothing of what the frames mean. */

const FIRST_PAUSE = 500; // ms before the next try; doubles
const LONGEST_PAUSE = 10_000;
const OPENING = 10_000; // ms that a socket may take to open
const SILENCE = 60_000; // ms without a frame while one is due: a phone that slept may hold a dead socket
const FINAL = new Set([1008, 4000]); // refused by policy, open in too many tabs: only the person may try again

export class Connection {
  /**
   * @param {string} path address of the session, without a slash at the end
   * @param {{frame: (frame: any) => void, down: () => void, closed: (code: number) => void,
   *   gone: (text: string) => void}} on `down`: lost, trying again; `closed`: by the server, with a code that
   *   matters; `gone`: the session is over or was never there
   */
  constructor(path, on) {
    this.path = path;
    this.on = on;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.pause = FIRST_PAUSE;
    this.timer = 0;
    this.stopped = false;
    this.due = false;
    window.addEventListener("online", () => this.hurry(true));
    window.addEventListener("pageshow", (event) => this.hurry(event.persisted));
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry(false));
  }

  open() {
    this.drop();
    this.stopped = false;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}/ws`);
    let opened = false;
    socket.onopen = () => (opened = true);
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.lose(event.code, opened);
    this.timer = setTimeout(() => this.lose(0, opened), OPENING);
    this.socket = socket;
  }

  /**
   * Sends a frame; false if there is no connection.
   * @param {object} frame
   */
  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /**
   * Whether the server owes the page a frame; then silence counts as a dead connection.
   * @param {boolean} due
   */
  expect(due) {
    this.due = due;
    this.watch();
  }

  /** Ends it for good, or until the next `open`. */
  stop() {
    this.stopped = true;
    this.drop();
  }

  /** The socket seems dead: a new one, without waiting for the old one to notice. */
  replace() {
    if (this.stopped) return;
    this.on.down();
    this.open();
  }

  /** @param {string} data */
  receive(data) {
    this.pause = FIRST_PAUSE;
    this.watch();
    this.on.frame(JSON.parse(data));
  }

  watch() {
    clearTimeout(this.timer);
    if (this.due) this.timer = setTimeout(() => this.replace(), SILENCE);
  }

  /**
   * A good moment for the next try.
   * @param {boolean} changed the network or the page came back: even an open socket is not to be trusted
   */
  hurry(changed) {
    if (this.stopped || (this.socket && !changed)) return;
    this.pause = FIRST_PAUSE;
    this.open();
  }

  /**
   * @param {number} code
   * @param {boolean} opened
   */
  async lose(code, opened) {
    this.drop();
    this.stopped = FINAL.has(code);
    this.on.closed(code);
    if (this.stopped) return;
    this.on.down();
    this.timer = setTimeout(() => this.open(), this.pause * (0.8 + 0.4 * Math.random()));
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    const reason = opened ? null : await this.verdict();
    if (reason === null || this.stopped) return;
    this.stop();
    this.on.gone(reason);
  }

  /** Why the session cannot be opened at all, in the server's words; null if it can, or if nobody knows. */
  async verdict() {
    try {
      const answer = await fetch(`${this.path}/status`, { cache: "no-store" });
      if (answer.status !== 404 && answer.status !== 410) return null;
      const { error } = await answer.json(); // a proxy's own 404 is no JSON and says nothing of the session
      return typeof error === "string" ? error : null;
    } catch {
      return null;
    }
  }

  drop() {
    clearTimeout(this.timer);
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }
}
