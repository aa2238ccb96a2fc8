// What happened in the farm: build servers came and went, administrators acted, tokens were refused. The newest first.
import { actionButton } from "../actions.js";
import { choice, h, labelled, name, sentence } from "../dom.js";
import { farm } from "../feed.js";
import { time } from "../format.js";
import { toServer } from "../links.js";
import { Table } from "../table.js";

export const title = "Events";

const KINDS = [["", "all"], ["server_", "of build servers"], ["action", "of administrators"], ["leader", "of schedulers"], ["refused", "refused tokens"]];
const text = (row) => `${row.about || ""} ${row.text} ${row.by || ""}`.toLowerCase();

export function open(root, context) {
  const { params } = context;
  let wanted = params.get("q") || "", kind = params.get("kind") || "";
  const drained = (row) => row.kind === "server_drained" && Boolean(farm.servers.get(row.about)?.drain);
  const columns = [
    { id: "time", label: "When", of: (row) => row.at, show: time },
    { id: "kind", label: "Kind", of: (row) => row.kind.replace("server_", "") },
    { id: "about", label: "About", heading: true, of: (row) => row.about, show: (value) => farm.servers.has(value) ? toServer(value) : name(value, 40) },
    { id: "text", label: "What happened", of: (row) => row.text, show: (value) => sentence(value) },
    { id: "by", label: "By", of: (row) => row.by, show: (value) => name(value, 40) },
    ...(context.isAdministrator ? [{ id: "do", label: "Actions", plain: true, of: drained, show: (still, row) => still && actionButton(context, "undrain", { servers: [row.about] }, row.about) }] : []),
  ];
  const table = new Table({ caption: "Events", columns, key: (row) => row, empty: "Nothing has happened that is remembered.", sort: "-time" });
  const filter = h("input", { type: "search", value: wanted, oninput: () => {
    wanted = filter.value;
    context.keep("q", wanted);
    update();
  } });
  const kinds = choice(KINDS, kind, (value) => {
    kind = value;
    context.keep("kind", kind);
    update();
  });
  root.append(h("div", { class: "toolbar" }, labelled("Filter", filter), labelled("Kind", kinds)), table.element,
    h("p", { class: "muted" }, "The scheduler remembers the latest 200, since its start."));

  function update() {
    table.update((farm.notices || []).filter((row) => row.kind.startsWith(kind) && text(row).includes(wanted.toLowerCase())));
  }

  return { update };
}
