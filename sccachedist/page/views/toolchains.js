// The toolchains of the farm: what each is, where it is, and who is bringing it somewhere just now.
import { actionButton } from "../actions.js";
import { get } from "../api.js";
import { h, labelled, name } from "../dom.js";
import { farm } from "../feed.js";
import { bytes, count, time } from "../format.js";
import { digits, toServer } from "../links.js";
import { Table } from "../table.js";

export const title = "Toolchains";

const ASK_MSECS = 5000, MOST_HELD = 30;

function held(row) {
  if (!row.held_by.length) return "nowhere";
  const shown = row.held_by.slice(0, MOST_HELD).map((address) => h("li", {}, toServer(address)));
  const more = row.held_by.length - MOST_HELD;
  return h("details", {}, h("summary", {}, `${count(row.held_by.length)} of ${count(farm.servers.size)}`),
    h("ul", { class: "plain" }, shown, more > 0 && h("li", {}, `and ${count(more)} more`)));
}

function uploads(row) {
  if (!row.uploads?.length) return "–";
  return h("ul", { class: "plain" }, row.uploads.slice(0, MOST_HELD).map((each) =>
    h("li", {}, bytes(each.bytes), row.size ? ` of ${bytes(row.size)}` : "", " to ", toServer(each.server))));
}

export function open(root, context) {
  const { params } = context;
  let wanted = params.get("q") || "", rows = [];
  const columns = [
    { id: "id", label: "Toolchain", heading: true, of: (row) => row.toolchain, show: digits },
    { id: "what", label: "What", of: (row) => row.compiler, show: (value) => name(value, 30) },
    { id: "machine", label: "Machine", of: (row) => row.machine, show: (value) => name(value, 20) },
    { id: "size", label: "Size", number: true, of: (row) => row.size, show: bytes },
    { id: "held", label: "Held by", of: (row) => `${row.held_by.join()}/${farm.servers.size}`, by: (row) => row.held_by.length, show: (_, row) => held(row) },
    { id: "uploads", label: "Uploads now", of: (row) => JSON.stringify(row.uploads || []), by: (row) => row.uploads?.length || 0, show: (_, row) => uploads(row) },
    { id: "jobs", label: "Jobs", number: true, of: (row) => row.jobs, show: count },
    { id: "used", label: "Last use", of: (row) => row.last_use, show: time },
    ...(context.isAdministrator ? [{ id: "do", label: "Actions", plain: true, of: (row) => row.held_by.length > 0, show: (any, row) => any && actionButton(context, "forget_toolchain", { toolchain: row.toolchain, servers: null }, row.toolchain.slice(0, 12), "Forget") }] : []),
  ];
  const table = new Table({
    caption: "Toolchains", columns, key: (row) => row.toolchain, sort: params.get("sort") || "-jobs",
    sorted: (sort) => context.keep("sort", sort), empty: "No toolchain is known.",
  });
  const filter = h("input", { type: "search", value: wanted, oninput: () => {
    wanted = filter.value;
    context.keep("q", wanted);
    update();
  } });
  root.append(h("div", { class: "toolbar" }, labelled("Filter", filter)), table.element);

  async function refresh() {
    try {
      rows = (await get("toolchains")).toolchains;
      update();
    } catch { /* the head of the page says so */ }
  }

  function update() {
    const low = wanted.toLowerCase();
    table.update(rows.filter((row) => `${row.toolchain} ${row.compiler || ""}`.toLowerCase().includes(low)));
  }

  const timer = setInterval(refresh, ASK_MSECS);
  refresh();
  return { close: () => clearInterval(timer) };
}
