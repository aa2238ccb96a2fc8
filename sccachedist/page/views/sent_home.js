// What clients compiled themselves, and why: by reason and build server, by reason and client, and each with its sentence.
import { get } from "../api.js";
import { choice, fill, h, labelled, name, sentence } from "../dom.js";
import { count, some, time } from "../format.js";
import { toClient, toJob, toServer } from "../links.js";
import { Table } from "../table.js";
import { explained, meaning } from "../vocabulary.js";

export const title = "Sent home";

const ASK_MSECS = 10000, LIMIT = 1000, MOST_LISTED = 500, MOST_NAMES = 20;
const SINCE = [["900", "the last 15 min"], ["3600", "the last hour"]];
const reasonOf = (row) => row.reason || row.outcome;

/** A table of how often each reason and each name come together. */
function matrix(caption, rows, nameOf, link) {
  const sums = new Map(), reasons = new Map();
  for (const row of rows) {
    const key = nameOf(row);
    if (!key) continue;
    const own = sums.get(key) || sums.set(key, new Map([["", 0]])).get(key);
    for (const each of ["", reasonOf(row)]) own.set(each, (own.get(each) || 0) + 1);
    reasons.set(reasonOf(row), (reasons.get(reasonOf(row)) || 0) + 1);
  }
  if (!sums.size) return h("p", { class: "muted" }, "Nothing.");
  const heads = [...reasons].sort((a, b) => b[1] - a[1]).map(([word]) => word);
  const lines = [...sums].sort((a, b) => b[1].get("") - a[1].get("")).slice(0, MOST_NAMES);
  return h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": caption }, h("table", {}, h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, h("td"), heads.map((word) => h("th", { scope: "col", class: "number", title: meaning(word).means }, name(word))), h("th", { scope: "col", class: "number" }, "all"))),
    h("tbody", {}, lines.map(([key, own]) => h("tr", {}, h("th", { scope: "row" }, link(key)), [...heads, ""].map((word) => h("td", { class: "number" }, own.has(word) ? count(own.get(word)) : "")))))));
}

export function open(root, context) {
  const { params } = context;
  let since = params.get("since") || "900", reason = params.get("reason") || "", rows = [];
  const [byServer, byClient, from, all] = [h("div"), h("div"), h("p", { class: "muted" }), h("ul", { class: "legend" })];
  const columns = [
    { id: "time", label: "When", of: (row) => row.ended, show: time },
    { id: "output", label: "Output", heading: true, of: (row) => row.output || row.id || "", show: (_, row) => row.id ? (row.output ? toJob(row.id, name(row.output, 40)) : toJob(row.id)) : "no slot" },
    { id: "client", label: "Client", of: (row) => row.client, show: toClient },
    { id: "server", label: "Server", of: (row) => row.server, show: (value) => toServer(value) },
    { id: "reason", label: "Reason", of: (row) => [reasonOf(row), row.kind].filter(Boolean).join(": "), show: (value) => name(value) },
    { id: "why", label: "What happened", plain: true, of: (row) => row.detail || explained(row).means.at(-1), show: (value) => sentence(value) },
    { id: "mend", label: "What mends it", plain: true, of: (row) => explained(row).mend },
  ];
  const table = new Table({ caption: "The latest", columns, key: (row) => row.id || `${row.asked}${row.client}`, empty: "Nothing.", sort: "-time" });
  root.append(
    h("div", { class: "toolbar" }, labelled("Since", choice(SINCE, since, (value) => {
      since = value;
      context.keep("since", since);
      refresh();
    }))), all, from,
    h("div", { class: "columns" }, h("section", {}, h("h2", {}, "By build server"), byServer), h("section", {}, h("h2", {}, "By client"), byClient)),
    h("section", {}, h("h2", {}, "The latest"), table.element));

  async function refresh() {
    try {
      const found = await Promise.all(["sent_local", "refused"].map((outcome) => get("jobs", { outcome, since, limit: LIMIT })));
      rows = found.flatMap(({ jobs }) => jobs).sort((a, b) => b.ended - a.ended);
      fill(from, found.some(({ next }) => next) ? `The latest ${count(LIMIT)} of each kind are looked at.` : "");
      show();
    } catch { /* the head of the page says so */ }
  }

  function show() {
    const reasons = new Map();
    for (const row of rows) reasons.set(reasonOf(row), (reasons.get(reasonOf(row)) || 0) + 1);
    if (reason && !reasons.has(reason)) reasons.set(reason, 0);
    fill(all, h("li", {}, some(rows.length, "request")), [...reasons].sort((a, b) => b[1] - a[1]).map(([word, number]) => h("li", {},
      h("button", { type: "button", "aria-pressed": String(word === reason), title: meaning(word).means, onclick: () => {
        reason = word === reason ? "" : word;
        context.keep("reason", reason);
        show();
      } }, name(word), ` ${count(number)}`))));
    const chosen = rows.filter((row) => !reason || reasonOf(row) === reason);
    fill(byServer, matrix("Reasons by build server", chosen, (row) => row.server, (address) => toServer(address)));
    fill(byClient, matrix("Reasons by client", chosen, (row) => row.client, toClient));
    table.update(chosen.slice(0, MOST_LISTED));
  }

  const timer = setInterval(() => root.contains(document.activeElement) || refresh(), ASK_MSECS);
  refresh();
  return { close: () => clearInterval(timer) };
}
