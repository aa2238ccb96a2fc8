// Elements, and text of strangers in them. Text goes in as text: nothing here or elsewhere parses a string as HTML.

/** An element with attributes (`on…`: listeners, `style`: properties, `data`: dataset) and children. */
export function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  put(node, children);
  return node;
}

function put(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
}

/** Give an element other children. */
export function fill(node, ...children) {
  node.replaceChildren();
  put(node, children);
  return node;
}

/** Set the text of an element, if it is another one: what does not change is not drawn again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a picture. */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// What is not seen, or changes the direction of what follows.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]/g;

/** A stranger's text, with escapes for what one does not see. */
export function printable(text) {
  return String(text).replace(UNSEEN, (found) => "\\u" + found.charCodeAt(0).toString(16).padStart(4, "0"));
}

/** A name that a stranger has chosen, isolated and cut, with the whole in its title; the end of a path counts most. */
export function name(text, most = 60) {
  if (text === null || text === undefined || text === "") return "–";
  const whole = printable(text);
  const shown = whole.length > most ? "…" + whole.slice(1 - most) : whole;
  return h("bdi", { class: "name", title: whole.length > most ? whole.slice(-2000) : null }, shown);
}

/** A sentence in which strangers may have put something, cut. */
export function sentence(text, most = 300) {
  if (!text) return "–";
  const whole = printable(text);
  return h("bdi", { class: "name long" }, whole.length > most ? whole.slice(0, most) + "…" : whole);
}

/** Text of a stranger in full, for a place with room. */
export function quoted(text, most = 2000) {
  const lines = String(text).slice(0, most).split("\n").map(printable).join("\n");
  return h("pre", { class: "quoted", dir: "ltr", tabindex: 0 }, lines);
}

let numbered = 0;

/** A labelled control, as a pair. */
export function labelled(text, control) {
  control.id = control.id || `control${++numbered}`;
  return h("span", { class: "field" }, h("label", { for: control.id }, text), control);
}

/** A choice. Its options are pairs of value and text. */
export function choice(options, value, choose) {
  const each = options.map(([key, text]) => h("option", { value: key, selected: key === value }, text));
  return h("select", { onchange: (event) => choose(event.target.value) }, each);
}
