// A table whose rows are kept by key: a cell is drawn again only if what it shows has changed, so focus and selection stay.
import { fill, h, printable, say } from "./dom.js";
import { count } from "./format.js";

const PAGE = 100;

/**
 * `columns`: each with `id`, `label`, `of(row)` (a plain value: what the cell depends on, and what it is sorted by),
 * `show(value, row)` (text or an element; by default the value), and perhaps `number`, `by(row)` (to sort by something
 * else), `plain` (not to be sorted by) and `heading` (the cell names its row).
 * `sort`: an id, with a `-` before it for the largest first. `sorted(sort)` is called when somebody sorts.
 */
export class Table {
  constructor({ caption, columns, key, sort = "", sorted = () => {}, empty = "Nothing.", page = PAGE }) {
    Object.assign(this, { columns, key, sort, sorted, page, first: 0, rows: [], shown: new Map() });
    this.heads = columns.map((column) => this.#head(column));
    this.body = h("tbody");
    this.empty = h("p", { class: "muted", hidden: true }, empty);
    this.range = h("span", { role: "status" });
    this.before = h("button", { type: "button", onclick: () => this.#turn(-page) }, "Previous");
    this.after = h("button", { type: "button", onclick: () => this.#turn(page) }, "Next");
    this.pager = h("p", { class: "pager", hidden: true }, this.range, this.before, this.after);
    this.table = h("table", {}, h("caption", { class: "hidden" }, caption), h("thead", {}, h("tr", {}, this.heads)), this.body);
    const scroll = h("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: 0 }, this.table);
    this.element = h("div", {}, scroll, this.empty, this.pager);
  }

  #head(column) {
    const head = h("th", { scope: "col", class: column.number && "number" });
    if (column.plain) head.append(column.label);
    else head.append(h("button", { type: "button", onclick: () => this.#sort(column) }, column.label));
    return head;
  }

  #sort(column) {
    const down = this.sort === column.id || (this.sort !== `-${column.id}` && column.number);
    this.sort = down ? `-${column.id}` : column.id;
    this.first = 0;
    this.sorted(this.sort);
    this.update(this.rows);
  }

  #turn(by) {
    this.first = Math.max(0, this.first + by);
    this.update(this.rows);
  }

  #order(rows) {
    const id = this.sort.replace("-", ""), column = this.columns.find((each) => each.id === id);
    if (!column) return rows;
    const sign = this.sort.startsWith("-") ? -1 : 1, by = column.by || column.of;
    const value = (row) => by(row) ?? null;
    return [...rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null); // what is not known comes last
      return sign * (typeof x === "string" || typeof y === "string" ? compare(String(x), String(y)) : x - y);
    });
  }

  /** Show these rows, and no others. */
  update(rows) {
    this.rows = rows;
    if (this.first >= rows.length) this.first = Math.max(0, Math.floor((rows.length - 1) / this.page) * this.page);
    const visible = this.#order(rows).slice(this.first, this.first + this.page);
    for (const [at, column] of this.columns.entries()) {
      const up = this.sort === column.id, down = this.sort === `-${column.id}`;
      if (up || down) this.heads[at].setAttribute("aria-sort", up ? "ascending" : "descending");
      else this.heads[at].removeAttribute("aria-sort");
    }
    const shown = new Map();
    visible.forEach((row, at) => {
      const key = this.key(row), line = this.shown.get(key) || { tr: h("tr"), values: [] };
      shown.set(key, line);
      this.#draw(line, row);
      if (this.body.children[at] !== line.tr) this.body.insertBefore(line.tr, this.body.children[at] || null);
    });
    while (this.body.children.length > visible.length) this.body.lastChild.remove();
    this.shown = shown;
    this.empty.hidden = rows.length > 0;
    this.pager.hidden = rows.length <= this.page;
    say(this.range, `${count(this.first + 1)}–${count(this.first + visible.length)} of ${count(rows.length)}`);
    this.before.disabled = this.first === 0;
    this.after.disabled = this.first + this.page >= rows.length;
  }

  #draw(line, row) {
    this.columns.forEach((column, at) => {
      const value = column.of(row);
      if (at in line.values && line.values[at] === value) return;
      line.values[at] = value;
      const cell = line.tr.children[at] || line.tr.appendChild(this.#cell(column));
      fill(cell, column.show ? column.show(value, row) : value === null || value === undefined ? "–" : printable(value));
    });
  }

  #cell(column) {
    return column.heading ? h("th", { scope: "row" }) : h("td", { class: column.number && "number" });
  }
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

function compare(a, b) {
  return COLLATOR.compare(a, b);
}
