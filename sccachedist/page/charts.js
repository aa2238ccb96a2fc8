// Small pictures: a line of the last minutes, bars beside words. What they show is told in words beside them as well.
import { h, svg } from "./dom.js";

const WIDTH = 180, HEIGHT = 36;

/** A line of samples, oldest first, null where nothing is known; `top`: the largest value, if that is known. */
export function sparkline(samples, most, top = null) {
  const known = samples.filter((value) => value !== null);
  const high = top ?? Math.max(...known, 0);
  const x = (at) => ((at + most - samples.length) * WIDTH) / (most - 1);
  const y = (value) => HEIGHT - 2 - (high ? (Math.min(value, high) / high) * (HEIGHT - 4) : 0);
  let path = "", pen = false;
  samples.forEach((value, at) => {
    if (value !== null) path += `${pen ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = value !== null;
  });
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "spark" },
    svg("path", { d: path }));
}

/** Rows of a word, a number and a bar. `rows`: label (element or text), number as text, size. */
export function bars(rows) {
  const largest = Math.max(...rows.map((row) => row.size), 0);
  return h("ul", { class: "bars" }, rows.map(({ label, text, size, mark }) => h("li", {},
    h("span", { class: "label" }, label), h("span", { class: "number" }, text), bar(largest && size / largest, mark))));
}

/** One bar, of a part of what there is. */
export function bar(part, mark = "") {
  return h("span", { class: `bar ${mark}`, "aria-hidden": "true" },
    h("span", { style: { width: `${(100 * Math.max(0, Math.min(1, part || 0))).toFixed(1)}%` } }));
}

/** Parts of a whole, side by side: each with a mark, a size and a title. */
export function stacked(parts) {
  const whole = parts.reduce((sum, part) => sum + part.size, 0) || 1;
  return h("span", { class: "bar stacked", "aria-hidden": "true" }, parts.map((part) =>
    h("span", { class: part.mark, title: part.title, style: { width: `${((100 * part.size) / whole).toFixed(2)}%` } })));
}
