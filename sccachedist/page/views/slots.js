// What the slots do: a lane a slot, a bar a job, as icemon draws them. The same stands in a table below, and in Jobs.
import { get, now } from "../api.js";
import { choice, fill, h, labelled, name, printable, say } from "../dom.js";
import { farm, timed } from "../feed.js";
import { age, clock, secs } from "../format.js";
import { Lanes } from "../lanes.js";
import { PHASES, markOf, outcome } from "../vocabulary.js";
import { endedTable } from "./jobs.js";

export const title = "Slots";

const LANE = 16, GAP = 3, HEAD = 20, AXIS = 22, MOST_LANES = 60, DRAW_MSECS = 250, CALM_MSECS = 5000;
const LIMIT = 1000, MOST_PAGES = 4, LIVE_ASK_MSECS = 30000, ASK_MSECS = 5000, KEPT_SECS = 900, COLOURS = 8;
const SPANS = [["60", "last minute"], ["300", "last 5 min"], ["900", "last 15 min"]];
const BY = [["client", "client"], ["outcome", "outcome"], ["phase", "phase"]];
const MARK_COLOURS = { ok: "--good", error: "--bad", home: "--warn", lost: "--s7" };
const STEPS = [1, 5, 10, 30, 60, 300];

function ofServer(pattern) {
  const parts = pattern.toLowerCase().split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  const expression = new RegExp(parts.join(".*"));
  return (address) => expression.test(address.toLowerCase());
}

export function open(root, context) {
  const { params } = context, lanes = new Lanes();
  let span = Number(params.get("span")) || 300, by = params.get("by") || "client", pattern = params.get("server") || "";
  let window = null, first = 0, chosen = null, drag = null, dirty = true, hits = [], asked = 0, shown = [];
  const canvas = h("canvas", { class: "gantt", tabindex: 0, role: "application", "aria-label": "Jobs by slot and time. Arrow keys go from job to job, Enter opens one, Page Up and Page Down scroll." });
  const readout = h("p", { class: "readout", "aria-live": "polite" }), legend = h("ul", { class: "legend" }), probe = h("span", { hidden: true });
  const wheelHint = h("p", { class: "muted" });
  const back = h("button", { type: "button", hidden: true, onclick: () => zoom(null) }, "Back to now");
  const table = endedTable(context, "The jobs of the picture", {});
  const twin = h("details", { ontoggle: () => fillTable() }, h("summary", {}, "The same as a table"), table.element);
  const keep = (key, value) => {
    context.keep(key, value);
    first = 0;
    dirty = true;
  };
  const servers = h("input", { type: "search", value: pattern, placeholder: "build0*", oninput: () => {
    pattern = servers.value;
    keep("server", pattern);
  } });
  root.append(h("div", { class: "toolbar" },
    labelled("Time", choice(SPANS, String(span), (value) => {
      span = Number(value);
      window = null;
      keep("span", value);
      load();
    })),
    labelled("Colour", choice(BY, by, (value) => {
      by = value;
      keep("by", value);
    })), labelled("Build server", servers), back), legend, canvas, wheelHint, readout, twin, probe);

  function zoom(to) {
    window = to;
    back.hidden = !to;
    dirty = true;
    fillTable();
  }

  async function load(since = span) {
    const own = ++asked;
    try {
      let before = null;
      for (let page = 0; page < MOST_PAGES; page++) {
        const found = await get("jobs", { since, limit: LIMIT, before });
        if (own !== asked) return;
        lanes.take([...found.jobs, ...(page ? [] : found.running.map(timed))]);
        if (!page) lanes.running(new Set(found.running.map((row) => row.id)), now() - 2);
        before = found.next;
        if (!before) break;
      }
      dirty = true;
      fillTable();
    } catch { /* the head of the page says so */ }
  }

  function colours() {
    const found = {};
    const names = ["--text", "--muted", "--line", "--page", "--raised", "--accent", "--good", "--bad", "--warn", ...Array.from({ length: COLOURS }, (_, at) => `--s${at}`)];
    for (const each of names) {
      probe.style.color = `var(${each})`;
      found[each] = getComputedStyle(probe).color;
    }
    return found;
  }

  // Groups of lanes, in order: a head for each build server and a line for each lane.
  function layout() {
    const fits = ofServer(pattern), found = [];
    const addresses = [...lanes.servers.keys()].filter(fits).sort();
    for (const address of addresses) {
      const server = lanes.servers.get(address);
      const count = Math.max(server.ends.length, farm.servers.get(address)?.slots || 0);
      for (let lane = 0; lane < count; lane++) found.push({ address, lane, server });
    }
    return found;
  }

  function draw() {
    if (document.hidden) return;
    const until = window ? window[1] : now(), from = window ? window[0] : until - span;
    const all = layout();
    first = Math.max(0, Math.min(first, all.length - MOST_LANES));
    const visible = all.slice(first, first + MOST_LANES);
    const tops = [];
    let height = AXIS;
    visible.forEach((each, at) => {
      if (!at || visible[at - 1].address !== each.address) height += HEAD;
      tops.push(height);
      height += LANE + GAP;
    });
    const width = canvas.clientWidth, scale = globalThis.devicePixelRatio || 1;
    const tall = Math.max(height + 4, 120);
    canvas.style.height = `${tall}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(tall * scale);
    const pen = canvas.getContext("2d"), colour = colours();
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const x = (time) => ((time - from) / (until - from)) * width;
    axis(pen, colour, x, from, until, width, tall);
    hits = [];
    const clients = new Map(), labels = new Map();
    visible.forEach(({ address, lane, server }, at) => {
      const top = tops[at];
      if (!at || visible[at - 1].address !== address) {
        pen.fillStyle = colour["--text"];
        const { name: host } = farm.servers.get(address) || {};
        pen.fillText(printable(host ? `${host} (${address})` : address).slice(0, 80), 4, top - HEAD / 2);
      }
      pen.fillStyle = colour["--raised"];
      pen.fillRect(0, top, width, LANE);
      for (const bar of server.bars.values()) {
        const end = bar.end ?? until;
        if (bar.lane !== lane || end < from || bar.begin > until) continue;
        const left = Math.max(0, x(bar.begin)), right = Math.min(width, x(end));
        const hit = { bar, left, top, width: Math.max(1.5, right - left - 1) };
        hits.push(hit);
        paint(pen, colour, hit, x, clients, labels);
      }
    });
    if (drag) {
      pen.strokeStyle = colour["--accent"];
      pen.strokeRect(Math.min(drag.from, drag.to), AXIS, Math.abs(drag.to - drag.from), tall - AXIS - 2);
    }
    if (!all.length) {
      pen.fillStyle = colour["--muted"];
      pen.fillText("No job in this time.", 8, AXIS + 30);
    }
    say(wheelHint, all.length > MOST_LANES ? `Slots ${first + 1} to ${first + visible.length} of ${all.length}: the wheel or Page Up and Page Down scroll.` : "");
    showLegend(labels);
    drawnAt = Date.now();
    dirty = false;
  }

  function axis(pen, colour, x, from, until, width, tall) {
    const step = STEPS.find((each) => ((until - from) / each) * 70 <= width) || 300;
    pen.strokeStyle = colour["--line"];
    pen.fillStyle = colour["--muted"];
    for (let time = Math.ceil(from / step) * step; time < until; time += step) {
      pen.beginPath();
      pen.moveTo(x(time), AXIS - 4);
      pen.lineTo(x(time), tall);
      pen.stroke();
      if (x(time) < width - 60) pen.fillText(clock(time), x(time) + 2, AXIS / 2);
    }
  }

  function paint(pen, colour, { bar, left, top, width }, x, clients, labels) {
    const { row } = bar, mark = bar.end === null || !row.outcome ? "runs" : markOf(row.outcome);
    if (by === "phase" && row.phases) phases(pen, colour, bar, x, top, labels);
    else {
      let key = by === "client" ? row.client || "–" : mark === "runs" ? "runs" : row.outcome || "over";
      let paint = colour[MARK_COLOURS[mark] || "--accent"];
      if (by === "client") {
        if (!clients.has(key)) clients.set(key, clients.size % COLOURS);
        paint = colour[`--s${clients.get(key)}`];
      }
      if (by === "phase") key = row.phase || "over";
      labels.set(key, paint);
      pen.globalAlpha = mark === "runs" ? 0.45 : 1;
      pen.fillStyle = paint;
      pen.fillRect(left, top, width, LANE);
      pen.globalAlpha = 1;
    }
    if (mark !== "ok" && mark !== "runs") hatch(pen, colour, left, top, width);
    if (chosen === bar.id) {
      pen.strokeStyle = colour["--text"];
      pen.lineWidth = 2.5;
      pen.strokeRect(left + 1, top + 1, Math.max(2, width - 2), LANE - 2);
      pen.lineWidth = 1;
    }
    if (width > 60 && row.output) {
      pen.save();
      pen.beginPath();
      pen.rect(left, top, width, LANE);
      pen.clip();
      pen.fillStyle = colour["--page"];
      pen.fillText(printable(row.output.slice(-200).split("/").pop()), left + 3, top + LANE / 2 + 1);
      pen.restore();
    }
  }

  function phases(pen, colour, { begin, row }, x, top, labels) {
    let at = begin;
    PHASES.forEach((word, number) => {
      const took = word === "queue_wait" ? 0 : row.phases[word] || 0;
      if (!took) return;
      pen.fillStyle = colour[`--s${number % COLOURS}`];
      const left = x(at), width = Math.max(0.5, x(at + took) - left);
      pen.fillRect(left, top, width, LANE);
      labels.set(word, pen.fillStyle);
      if (number >= COLOURS) stripe(pen, colour, left, top, width);
      at += took;
    });
  }

  // What went home or failed is hatched: that can be told without colours.
  function hatch(pen, colour, left, top, width) {
    stripe(pen, colour, left, top, width);
    pen.strokeStyle = colour["--bad"];
    pen.strokeRect(left + 0.5, top + 0.5, Math.max(1, width - 1), LANE - 1);
  }

  function stripe(pen, colour, left, top, width) {
    pen.save();
    pen.beginPath();
    pen.rect(left, top, width, LANE);
    pen.clip();
    pen.strokeStyle = colour["--page"];
    pen.lineWidth = 2;
    for (let at = left - LANE; at < left + width; at += 6) {
      pen.beginPath();
      pen.moveTo(at, top + LANE);
      pen.lineTo(at + LANE, top);
      pen.stroke();
    }
    pen.restore();
    pen.lineWidth = 1;
  }

  let legendDrawn = "";
  function showLegend(labels) {
    const now = JSON.stringify([...labels]);
    if (now === legendDrawn) return;
    legendDrawn = now;
    fill(legend, [...labels].slice(0, 20).map(([label, paint]) => h("li", {}, h("span", { class: "swatch", "aria-hidden": "true", style: { background: paint } }), name(label, 30))),
      h("li", { class: "muted" }, "red and hatched: no result; pale: runs"));
  }

  function tell(bar) {
    chosen = bar?.id ?? null;
    dirty = true;
    if (!bar) return fill(readout);
    const { row, begin, end } = bar;
    return fill(readout, h("a", { href: `#/jobs/${bar.id}` }, row.output ? name(row.output, 100) : `job …${bar.id.slice(-6)}`), " · ", name(row.client, 40), " · ", name(row.server, 40), " · ",
      row.outcome ? [outcome(row), ` in ${secs(end - begin)}`] : end === null ? `${row.phase}, for ${age(now() - begin)}` : "over");
  }

  const at = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const under = ([x, y]) => hits.find((hit) => x >= hit.left && x <= hit.left + Math.max(4, hit.width) && y >= hit.top && y <= hit.top + LANE)?.bar;
  const timeAt = (x) => {
    const until = window ? window[1] : now(), from = window ? window[0] : until - span;
    return from + (x / canvas.clientWidth) * (until - from);
  };
  const enter = (id) => { location.hash = `#/jobs/${id}`; };

  canvas.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") drag = { from: at(event)[0], to: at(event)[0] }; });
  canvas.addEventListener("pointermove", (event) => {
    const place = at(event), bar = under(place);
    if (drag) {
      drag.to = place[0];
      dirty = true;
    } else if (bar && bar.id !== chosen) tell(bar);
    canvas.style.cursor = bar ? "pointer" : "crosshair";
  });
  canvas.addEventListener("pointerup", (event) => {
    const moved = drag && Math.abs(drag.to - drag.from) > 8, bar = under(at(event));
    if (moved) zoom([timeAt(Math.min(drag.from, drag.to)), timeAt(Math.max(drag.from, drag.to))]);
    else if (bar) enter(bar.id);
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => { drag = null; });
  canvas.addEventListener("wheel", (event) => {
    if (!wheelHint.textContent) return;
    event.preventDefault();
    first += Math.sign(event.deltaY) * 3;
    dirty = true;
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }, move = moves[event.key];
    if (move) tell(next(move) || hits.find((hit) => hit.bar.id === chosen)?.bar);
    else if (event.key === "Enter" && chosen) enter(chosen);
    else if (event.key === "Escape") zoom(null);
    else if (event.key === "PageDown" || event.key === "PageUp") first += event.key === "PageDown" ? MOST_LANES / 2 : -MOST_LANES / 2;
    else return;
    dirty = true;
    event.preventDefault();
  });

  /** The bar to the side of the chosen one in its lane, or the nearest one in the next lane that has any. */
  function next([along, across]) {
    const here = hits.find((hit) => hit.bar.id === chosen);
    if (!here) return hits.at(0)?.bar;
    const middle = (hit) => hit.left + hit.width / 2;
    const distance = (hit) => Math.abs(hit.top - here.top) * 1e6 + Math.abs(middle(hit) - middle(here));
    const fits = along ? (hit) => hit.top === here.top && Math.sign(hit.left - here.left) === along : (hit) => Math.sign(hit.top - here.top) === across;
    return hits.filter(fits).sort((a, b) => distance(a) - distance(b))[0]?.bar;
  }

  function fillTable() {
    if (!twin.open) return;
    const until = window ? window[1] : now(), from = window ? window[0] : until - span, fits = ofServer(pattern);
    shown = [...lanes.servers].filter(([address]) => fits(address)).flatMap(([, server]) => [...server.bars.values()])
      .filter((bar) => bar.row.outcome && bar.end >= from && bar.begin <= until).map((bar) => bar.row);
    table.update(shown);
  }

  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let drawnAt = 0, askedAt = Date.now(), paused = false;
  const timer = setInterval(() => {
    const still = window || calm.matches;
    if (!paused && Date.now() - askedAt > (farm.link === "live" ? LIVE_ASK_MSECS : ASK_MSECS)) {
      askedAt = Date.now();
      lanes.forget(now() - KEPT_SECS);
      load(60);
    }
    if (dirty || (!paused && (!still || Date.now() - drawnAt > CALM_MSECS))) draw();
  }, DRAW_MSECS);
  let wide = 0;
  const observer = new ResizeObserver(() => {
    if (wide !== canvas.clientWidth) draw(); // at once, for it would be stretched meanwhile
    wide = canvas.clientWidth;
  });
  observer.observe(canvas);
  load();
  return {
    take(message) {
      if (!message?.started && !message?.ended) return;
      lanes.take([...(message.ended?.jobs || []), ...(message.started || [])]);
      fillTable();
    },
    paused(now) { paused = now; },
    themed: () => { dirty = true; },
    close() {
      clearInterval(timer);
      observer.disconnect();
    },
  };
}
