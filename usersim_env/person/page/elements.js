// @ts-check
/** Finding and making elements. Text from the server goes through `textContent`, unless the server made it HTML. */

/**
 * The element with this id; one that is missing is a fault of index.html, seen at once.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element with the id ${id}: add it to the page`);
  return found;
}

/**
 * A new element with a class and a text.
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {any}
 */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

/**
 * Shows HTML that the server made from Markdown: the study owner's consent and rules, or an agent's message, of which
 * only emphasis, lists, tables and code are left. A person's own words never come this way.
 * Links open beside the page: following one must not lose the conversation.
 * @param {HTMLElement} element
 * @param {string} html
 */
export function showProse(element, html) {
  element.innerHTML = html;
  for (const link of element.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
}

/**
 * Length as the server counts it: code points, so that an emoji counts like a letter.
 * @param {string} text
 */
export function lengthOf(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
