// Who uses the farm: what each client has now, what it had, and how much of all that was.
import { actionButton } from "../actions.js";
import { get } from "../api.js";
import { bar } from "../charts.js";
import { choice, fill, h, labelled } from "../dom.js";
import { count, decimal, percent, time } from "../format.js";
import { toClient } from "../links.js";
import { Table } from "../table.js";

export const title = "Clients";

const ASK_MSECS = 10000;
const SINCE = [["900", "the last 15 min"], ["3600", "the last hour"], ["86400", "the last day"]];
const total = (counts) => Object.values(counts).reduce((sum, each) => sum + each, 0);
const jobs = ({ recent }) => total(recent.outcomes);
const home = ({ recent }) => total(recent.sent_local) + total(recent.refusals);

export function open(root, context) {
  const { params } = context;
  let since = params.get("since") || "86400", wanted = params.get("q") || "", rows = [], whole = 0;
  const columns = [
    { id: "client", label: "Client", heading: true, of: (row) => row.client, show: toClient },
    { id: "holds", label: "Holds", number: true, of: (row) => row.holds, show: count },
    { id: "waits", label: "Waits", number: true, of: (row) => row.waits, show: count },
    { id: "weight", label: "Weight", number: true, of: (row) => row.weight, show: String },
    { id: "most", label: "Max slots", number: true, of: (row) => row.max_slots, show: count },
    { id: "class", label: "Class", of: (row) => row.class },
    { id: "jobs", label: "Requests", number: true, of: jobs, show: count },
    { id: "hours", label: "Slot-hours", number: true, of: (row) => row.slot_secs / 3600, show: (value) => decimal(value, 2) },
    { id: "share", label: "Share of the time", number: true, of: (row) => whole ? row.slot_secs / whole : null,
      show: (value) => h("span", { class: "slots" }, percent(value), bar(value)) },
    { id: "home", label: "Compiled itself", number: true, of: (row) => `${home(row)}|${jobs(row)}`, by: home,
      show: (_, row) => `${count(home(row))} (${percent(jobs(row) ? home(row) / jobs(row) : null)})` },
    ...(context.isAdministrator ? [{ id: "do", label: "Actions", plain: true, of: (row) => row.holds > 0, show: (any, row) => any && actionButton(context, "kill", { client: row.client }, `all jobs of ${row.client}`, "Kill all") }] : []),
  ];
  const table = new Table({
    caption: "Clients", columns, key: (row) => row.client, sort: params.get("sort") || "-hours",
    sorted: (sort) => context.keep("sort", sort), empty: "No client has asked for a slot in this time.",
  });
  const filter = h("input", { type: "search", value: wanted, oninput: () => {
    wanted = filter.value;
    context.keep("q", wanted);
    update();
  } });
  const from = h("p", { class: "muted" });
  const look = choice(SINCE, since, (value) => {
    since = value;
    context.keep("since", since);
    refresh();
  });
  root.append(h("div", { class: "toolbar" }, labelled("Filter", filter), labelled("Since", look)), table.element, from);

  async function refresh() {
    try {
      const found = await get("clients", { since });
      rows = found.clients;
      whole = rows.reduce((sum, row) => sum + row.slot_secs, 0);
      fill(from, "All since ", time(found.since), " is remembered. Clients without a name are called by their addresses.");
      update();
    } catch { /* the head of the page says so */ }
  }

  function update() {
    table.update(rows.filter((row) => row.client.toLowerCase().includes(wanted.toLowerCase())));
  }

  const timer = setInterval(refresh, ASK_MSECS);
  refresh();
  return { close: () => clearInterval(timer) };
}
