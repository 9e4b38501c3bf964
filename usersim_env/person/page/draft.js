// @ts-check
/**
 * What the browser remembers for one address: the draft, the answers so far, the move that is on its way.
 *
 * Storage may be blocked (private windows, strict settings) or full; then the page goes on without.
 */

export class Memory {
  /**
   * @param {"localStorage" | "sessionStorage"} kind the first outlives the tab, the second belongs to one tab
   * @param {string} [path] keeps the words of two sessions apart
   */
  constructor(kind, path = location.pathname) {
    this.kind = kind;
    this.path = path;
  }

  /** @param {string} name */
  key(name) {
    return `study ${this.path} ${name}`;
  }

  /**
   * What was kept under this name, or null.
   * @param {string} name
   * @returns {any}
   */
  read(name) {
    try {
      return JSON.parse(window[this.kind].getItem(this.key(name)) ?? "null");
    } catch {
      return null;
    }
  }

  /**
   * Keeps a value; null and the empty text forget it.
   * @param {string} name
   * @param {any} value
   */
  write(name, value) {
    try {
      if (value === null || value === "") window[this.kind].removeItem(this.key(name));
      else window[this.kind].setItem(this.key(name), JSON.stringify(value));
    } catch {
      // Nothing to do: the words are still in the box.
    }
  }
}
