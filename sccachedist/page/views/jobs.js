// Requests for a slot: those that run, and those that are over, by any of their words.
import { actionButton } from "../actions.js";
import { get } from "../api.js";
import { choice, fill, h, labelled, name } from "../dom.js";
import { age, bytes, secs, some, time } from "../format.js";
import { timed } from "../feed.js";
import { now } from "../api.js";
import { digits, toClient, toJob, toServer } from "../links.js";
import { Table } from "../table.js";
import { outcome } from "../vocabulary.js";
import { WORDS } from "../words.js";

export const title = "Jobs";

const ASK_MSECS = 5000, LIMIT = 100;
const SINCE = [["", "as long as remembered"], ["300", "the last 5 min"], ["900", "the last 15 min"], ["3600", "the last hour"], ["86400", "the last day"]];
const TEXTS = [["output", "Output ends in"], ["client", "Client"], ["server", "Build server"]];

const waited = (row) => row.phases.queue_wait;

/** A table of records. `without`: columns that say nothing here. */
export function endedTable(context, caption, { without = [], sort, sorted } = {}) {
  const columns = [
    { id: "time", label: "Ended", of: (row) => row.ended, show: time },
    { id: "output", label: "Output", heading: true, of: (row) => row.output || row.id || "", show: (value, row) => row.id ? h("a", { href: `#/jobs/${row.id}` }, row.output ? name(row.output, 48) : `job …${row.id.slice(-6)}`) : "no slot" },
    { id: "client", label: "Client", of: (row) => row.client, show: toClient },
    { id: "server", label: "Server", of: (row) => row.server, show: (value) => toServer(value) },
    { id: "outcome", label: "Outcome", of: (row) => `${row.outcome}${row.reason || ""}${row.kind || ""}`, show: (_, row) => outcome(row) },
    { id: "total", label: "Total", number: true, of: (row) => row.ended - row.asked, show: secs },
    { id: "compile", label: "Compile", number: true, of: (row) => row.phases.compile, show: secs },
    { id: "wait", label: "Wait", number: true, of: waited, show: secs },
    { id: "memory", label: "Memory", number: true, of: (row) => row.memory, show: bytes },
    { id: "in", label: "In", number: true, of: (row) => row.in, show: bytes },
    { id: "out", label: "Out", number: true, of: (row) => row.out, show: bytes },
  ];
  return new Table({
    caption, columns: columns.filter(({ id }) => !without.includes(id)), sort, sorted,
    key: (row) => row.id || `${row.asked}${row.client}${row.ended}`, empty: "No such job is remembered.",
  });
}

function runningTable(context) {
  const columns = [
    { id: "id", label: "Job", heading: true, of: (row) => row.id, show: (id) => toJob(id) },
    { id: "client", label: "Client", of: (row) => row.client, show: toClient },
    { id: "server", label: "Server", of: (row) => row.server, show: (value) => toServer(value) },
    { id: "toolchain", label: "Toolchain", of: (row) => row.toolchain, show: digits },
    { id: "phase", label: "Phase", of: (row) => row.phase },
    { id: "for", label: "For", number: true, of: (row) => age(now() - row.began), by: (row) => now() - row.began },
    ...(context.isAdministrator ? [{ id: "do", label: "Actions", plain: true, of: () => 0, show: (_, row) => actionButton(context, "kill", { job: row.id }, `job ${row.id}`, "Kill") }] : []),
  ];
  return new Table({ caption: "Running jobs", columns, key: (row) => row.id, empty: "No job runs.", page: 20, sort: "-for" });
}

export function open(root, context) {
  const wanted = Object.fromEntries(["output", "client", "server", "outcome", "reason", "since"].map((key) => [key, context.params.get(key) || ""]));
  const pages = [null];
  let running = [], asked = 0, delay = 0;
  const set = (key) => (value) => {
    wanted[key] = value.trim();
    context.keep(key, wanted[key]);
    pages.length = 1;
    clearTimeout(delay);
    delay = setTimeout(refresh, 200);
  };
  const texts = TEXTS.map(([key, label]) => labelled(label, h("input", { type: "search", value: wanted[key], oninput: (event) => set(key)(event.target.value) })));
  const words = (group) => Object.keys(WORDS[group]).map((word) => [word, word]);
  const outcomes = labelled("Outcome", choice([["", "any"], ...words("outcome")], wanted.outcome, set("outcome")));
  const reasons = labelled("Reason", choice([["", "any"], ...new Map([...words("sent_local"), ...words("refusal")])], wanted.reason, set("reason")));
  const since = labelled("Since", choice(SINCE, wanted.since, set("since")));
  const runs = runningTable(context);
  const over = endedTable(context, "Jobs that are over", { sort: context.params.get("sort") || "", sorted: (sort) => context.keep("sort", sort) });
  const [count, problem, from] = [h("h2", {}, "Running"), h("p", { role: "alert", class: "bad" }), h("p", { class: "muted" })];
  const newer = h("button", { type: "button", onclick: () => turn(-1) }, "Newer"), older = h("button", { type: "button", onclick: () => turn(1) }, "Older");
  let next = null;
  root.append(
    h("div", { class: "toolbar" }, texts, outcomes, reasons, since), problem,
    h("section", {}, count, runs.element),
    h("section", {}, h("h2", {}, "Over"), over.element, h("p", { class: "pager" }, newer, older), from));

  function turn(by) {
    if (by > 0) pages.push(next);
    else pages.pop();
    refresh();
  }

  async function refresh() {
    const own = ++asked;
    try {
      const before = pages[pages.length - 1];
      const found = await get("jobs", { ...wanted, limit: LIMIT, before });
      if (own !== asked) return;
      running = found.running.map(timed);
      next = found.next;
      fill(problem);
      over.update(found.jobs);
      [newer.disabled, older.disabled] = [pages.length === 1, !next];
      fill(from, "All since ", time(found.since), " are remembered.");
      update();
    } catch (failure) {
      if (failure.status === 400) fill(problem, failure.message);
    }
  }

  function update() {
    fill(count, `Running: ${some(running.length, "job")}`);
    runs.update(running);
  }

  const timer = setInterval(() => pages.length === 1 && refresh(), ASK_MSECS);
  refresh();
  return { update, close: () => clearInterval(timer) };
}
