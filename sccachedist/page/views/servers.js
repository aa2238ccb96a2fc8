// The build servers as a table, or one of them: what it is, what it has done lately, what can be done about it.
import { actionButton, ask } from "../actions.js";
import { get, now } from "../api.js";
import { bar, stacked } from "../charts.js";
import { fill, h, labelled, name, printable, say, sentence } from "../dom.js";
import { farm } from "../feed.js";
import { age, bytes, count, decimal, percent, some, time } from "../format.js";
import { digits, toJobs, toServer } from "../links.js";
import { Table } from "../table.js";
import { PHASES, phase } from "../vocabulary.js";
import { endedTable } from "./jobs.js";

export const title = "Servers";

const STATES = ["open", "full", "busy", "avoided", "draining", "unfit"], PHASE_JOBS = 200, ASK_MSECS = 10000;

function stateOf(row) {
  return h("span", {}, h("span", { class: `state ${row.state}` }, row.state), row.why && h("small", { class: "why" }, sentence(row.why)), drained(row));
}

function drained({ drain }) {
  if (!drain) return null;
  return h("small", { class: "why" }, "by ", name(drain.by), drain.reason && [": ", sentence(drain.reason)], ", since ", time(drain.since), drain.until && [", until ", time(drain.until)]);
}

function actionsOf(context, row) {
  const servers = { servers: [row.address] };
  return h("span", { class: "buttons" },
    row.drain ? actionButton(context, "undrain", servers, row.address) : actionButton(context, "drain", servers, row.address),
    row.state === "avoided" && actionButton(context, "forgive", servers, row.address));
}

/** The free bytes of the fuller one of its disks. */
function disk({ disk_free: free }) {
  const known = Object.values(free || {}).filter((each) => each !== null);
  return known.length ? Math.min(...known) : null;
}

const seen = (row) => age(now() - row.seen);

function columns(context, chosen) {
  const all = [
    { id: "name", label: "Name", heading: true, of: (row) => row.name || row.address,
      show: (value, row) => [toServer(row.address, name(value, 40)), row.name && h("small", { class: "why" }, row.address)] },
    { id: "state", label: "State", of: (row) => `${row.state}${row.why}${JSON.stringify(row.drain ?? null)}`, by: (row) => row.state, show: (_, row) => stateOf(row) },
    { id: "slots", label: "Slots", number: true, of: (row) => `${row.taken}/${row.slots}`, by: (row) => row.taken / (row.slots || 1),
      show: (value, row) => [h("span", { class: "slots" }, value, bar(row.taken / (row.slots || 1)))] },
    { id: "cpus", label: "CPUs", number: true, of: (row) => `${row.cpus}|${row.workers?.live}`, by: (row) => row.cpus,
      show: (_, row) => [count(row.cpus), row.workers && h("small", { class: "why" }, some(row.workers.live, "worker"))] },
    { id: "done", label: "Done", number: true, of: (row) => row.ended, show: count },
    { id: "local", label: "Sent home", number: true, of: (row) => row.sent_local === null ? null : `${row.sent_local}|${row.sent_local_share}`,
      by: (row) => row.sent_local_share, show: (value, row) => value === null ? "–" : `${count(row.sent_local)} (${percent(row.sent_local_share)})` },
    { id: "speed", label: "Speed", number: true, of: (row) => row.speed, show: (value) => decimal(value, 2) },
    { id: "load", label: "Load", number: true, of: (row) => row.load, show: (value) => decimal(value) },
    { id: "memory", label: "Memory", number: true, of: (row) => row.memory_free, show: bytes },
    { id: "disk", label: "Disk", number: true, of: (row) => disk(row), show: bytes },
    { id: "toolchains", label: "Toolchains", number: true, of: (row) => row.toolchains, show: count },
    { id: "version", label: "Version", of: (row) => row.version || (row.published ? "published" : null), show: (value) => name(value, 20) },
    { id: "seen", label: "Seen", number: true, of: seen, by: (row) => now() - row.seen, show: (value) => `${value} ago` },
  ];
  if (!context.isAdministrator) return all;
  const box = (row) => h("input", { type: "checkbox", "aria-label": `Choose ${printable(row.address)}`, checked: chosen.has(row.address),
    onchange: (event) => event.target.checked ? chosen.add(row.address) : chosen.delete(row.address) });
  return [
    { id: "choose", label: h("span", { class: "hidden" }, "Chosen"), plain: true, of: () => 0, show: (_, row) => box(row) }, ...all.slice(0, 2),
    { id: "do", label: "Actions", plain: true, of: (row) => `${row.state}${Boolean(row.drain)}`, show: (_, row) => actionsOf(context, row) }, ...all.slice(2),
  ];
}

export function open(root, context, heading) {
  const [address] = context.rest;
  return address ? one(root, context, heading, address) : list(root, context);
}

function list(root, context) {
  const chosen = new Set(), { params } = context;
  let wanted = params.get("q") || "", state = params.get("state") || "";
  const filter = h("input", { type: "search", value: wanted, oninput: () => {
    wanted = filter.value;
    context.keep("q", wanted);
    update();
  } });
  const buttons = ["", ...STATES].map((each) => h("button", { type: "button", onclick: () => {
    state = each;
    context.keep("state", state);
    update();
  } }));
  const many = context.isAdministrator && h("span", { class: "buttons" }, ["drain", "undrain"].map((action) =>
    h("button", { type: "button", onclick: () => chosen.size && ask(action, { servers: [...chosen] }) }, `${action === "drain" ? "Drain" : "Undrain"} chosen…`)));
  const table = new Table({
    caption: "Build servers", columns: columns(context, chosen), key: (row) => row.address, sort: params.get("sort") || "name",
    sorted: (sort) => context.keep("sort", sort), empty: "No such build server.",
  });
  root.append(h("div", { class: "toolbar" }, labelled("Filter", filter), h("span", { class: "choices", role: "group", "aria-label": "State" }, buttons), many), table.element);

  function update() {
    const rows = [...farm.servers.values()], all = {};
    for (const row of rows) all[row.state] = (all[row.state] || 0) + 1;
    ["", ...STATES].forEach((each, at) => {
      say(buttons[at], `${each || "all"} ${each ? all[each] || 0 : rows.length}`);
      buttons[at].setAttribute("aria-pressed", each === state);
    });
    for (const address of chosen) if (!farm.servers.has(address)) chosen.delete(address);
    const low = wanted.toLowerCase();
    table.update(rows.filter((row) => (!state || row.state === state) && `${row.address} ${row.name || ""} ${row.version || ""}`.toLowerCase().includes(low)));
  }

  return { update };
}

function phases(jobs) {
  const sums = Object.fromEntries(PHASES.map((word) => [word, 0]));
  for (const job of jobs) for (const [word, secs] of Object.entries(job.phases)) sums[word] += secs;
  const whole = Object.values(sums).reduce((sum, each) => sum + each, 0);
  if (!whole) return h("p", { class: "muted" }, "It has told of no jobs.");
  const parts = PHASES.map((word, at) => ({ mark: `series${at}`, size: sums[word], title: word })).filter((part) => part.size / whole > 0.001);
  return [stacked(parts), h("ul", { class: "legend" }, parts.map((part) =>
    h("li", { title: phase(part.title).means }, h("span", { class: `swatch ${part.mark}`, "aria-hidden": "true" }), `${part.title} ${percent(part.size / whole)}`)))];
}

function one(root, context, heading, address) {
  fill(heading, "Build server ", name(address));
  const [facts, actions, share, held] = [h("dl", { class: "facts" }), h("p", { class: "buttons" }), h("div"), h("ul", { class: "plain" })];
  const [home, latest] = ["Sent home lately", "Latest jobs"].map((caption) => endedTable(context, caption, { without: ["server"] }));
  root.append(
    h("p", {}, h("a", { href: "#/servers" }, "All build servers")), facts, actions,
    h("section", {}, h("h2", {}, `Where the time of its last ${PHASE_JOBS} jobs went`), share),
    h("section", {}, h("h2", {}, "Sent home lately"), home.element),
    h("section", {}, h("h2", {}, "Latest jobs"), latest.element, h("p", {}, toJobs({ server: address }, "All of its jobs"))),
    h("section", {}, h("h2", {}, "Toolchains"), held));
  let drawn = "";

  async function refresh() {
    try {
      const [{ jobs }, sent, { toolchains }] = await Promise.all([
        get("jobs", { server: address, limit: PHASE_JOBS }), get("jobs", { server: address, outcome: "sent_local", limit: 20 }), get("toolchains")]);
      fill(share, phases(jobs));
      latest.update(jobs.slice(0, 20));
      home.update(sent.jobs);
      const own = toolchains.filter((row) => row.held_by.includes(address));
      fill(held, own.length ? own.map((row) => h("li", {}, digits(row.toolchain), " ", name(row.compiler, 30), `, ${some(row.jobs, "job")}`)) : h("li", {}, "None is known."));
    } catch { /* the head of the page says so */ }
  }

  const timer = setInterval(refresh, ASK_MSECS);
  refresh();
  return {
    close: () => clearInterval(timer),
    update() {
      const row = farm.servers.get(address);
      const pairs = row ? [["State", stateOf(row)], ["Address", row.address], ["Slots", `${row.taken} of ${row.slots} taken`], ["CPUs", count(row.cpus)],
        ...(row.workers ? [["Workers", `${some(row.workers.live, "worker")} with ${some(row.workers.cpus, "CPU")}`]] : []),
        ["Version", name(row.version || (row.published ? "published" : null))], ["Here since", time(row.joined)], ["Jobs done", count(row.ended)],
        ["Sent home", row.sent_local === null ? "–" : `${count(row.sent_local)} (${percent(row.sent_local_share)} of the latest)`],
        ["Speed", row.speed == null ? "–" : `${decimal(row.speed, 2)} of the farm's`], ["Load", decimal(row.load)], ["Machines", name(row.machines?.join(" ") || row.machine, 60)], ["Labels", name(row.labels?.join(" ") || null, 100)],
        ["Free memory", `${bytes(row.memory_free)} of ${bytes(row.memory_total)}`],
        ["Free disk", `toolchains ${bytes(row.disk_free?.cache)}, builds ${bytes(row.disk_free?.build)}`],
        ["Uploads now", row.uploads?.length ? row.uploads.map((each) => [digits(each.toolchain), ` ${bytes(each.bytes)} `]) : "none"]]
        : [["State", farm.status ? "It is not registered." : "…"], ["Address", name(address)]];
      const { seen: _, ...rest } = row || {}, now = JSON.stringify(rest);
      if (now === drawn) return;
      drawn = now;
      fill(facts, pairs.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text))));
      fill(actions, row && actionsOf(context, row), !row && actionButton(context, "forget_server", { servers: [address] }, address));
    },
  };
}
