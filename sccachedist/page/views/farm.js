// The farm at a glance: six numbers with their last 15 minutes, what needs attention, what went home, who uses it.
import { actionButton } from "../actions.js";
import { get } from "../api.js";
import { bars, sparkline } from "../charts.js";
import { fill, h, name, say, sentence } from "../dom.js";
import { farm, rates } from "../feed.js";
import { age, count, decimal, percent, some } from "../format.js";
import { toClient } from "../links.js";
import { meaning } from "../vocabulary.js";

export const title = "Farm";

const SAMPLES = 90, CLIENTS_MSECS = 10000, MOST_REASONS = 8, MOST_CLIENTS = 8;
const states = (found) => Object.entries(found).filter(([, number]) => number).map(([state, number]) => `${count(number)} ${state}`).join(" · ");

// Each: its heading, the number of a status, what stands beside it, the series, and the most that it can be.
const TILES = [
  ["Remote", ({ remote }) => percent(remote), () => "of the compiles", "remote", 1],
  ["Slots in use", ({ slots_used: [used, of] }) => `${count(used)} / ${count(of)}`, () => "", "slots_used", null],
  ["Waiting", ({ waiting }) => count(waiting), (status) => status.oldest_wait_secs ? `the first for ${age(status.oldest_wait_secs)}` : "", "waiting", null],
  ["Compiles", (found) => `${decimal(found.compiles_per_sec)} / s`, () => "", "compiles", null],
  ["Sent home", (found) => percent(found.sent_local_share), () => "", "sent_local", null],
  ["Build servers", ({ servers }) => count(Object.values(servers).reduce((sum, each) => sum + each, 0)), (status) => states(status.servers) + (status.workers ? `; ${some(status.workers, "worker")} of gateways` : ""), "servers", null],
];

export function open(root, context) {
  const tiles = TILES.map(([heading, value, beside, series, top]) => {
    const [number, more, picture] = [h("p", { class: "figure" }), h("p", { class: "muted" }), h("div", { class: "picture" })];
    return { element: h("section", { class: "tile", "aria-label": heading }, h("h2", {}, heading), number, more, picture), number, more, picture, value, beside, series, top };
  });
  const attention = h("ul", { class: "attention", "aria-live": "polite" });
  const [home, users] = [h("div"), h("div")];
  const farmActions = h("p", { class: "buttons" });
  root.append(
    h("div", { class: "tiles" }, tiles.map((tile) => tile.element)),
    h("p", { class: "muted" }, "Lines: the last 15 minutes."),
    h("section", {}, h("h2", {}, "Needs attention"), attention),
    h("div", { class: "columns" },
      h("section", {}, h("h2", {}, "Compiled by clients themselves, last 15 min, by reason"), home),
      h("section", {}, h("h2", {}, "Who uses it"), users)),
    farmActions);
  let drawn = "", homeDrawn = "", paused = null;

  async function askForClients() {
    try {
      const { clients } = await get("clients", { since: 900 });
      const busy = clients.filter((row) => row.holds || row.waits).sort((a, b) => b.holds - a.holds);
      fill(users, busy.length ? bars(busy.slice(0, MOST_CLIENTS).map((row) => ({
        label: toClient(row.client), text: `${count(row.holds)}${row.waits ? ` + ${count(row.waits)} waiting` : ""}`, size: row.holds,
      }))) : h("p", { class: "muted" }, "Nobody just now."));
    } catch { /* the head of the page says so */ }
  }

  function showAttention(found) {
    const now = JSON.stringify(found);
    if (now === drawn) return;
    drawn = now;
    fill(attention, found.length ? found.map((each) => h("li", { class: each.critical ? "critical" : "warning" },
      h("p", {}, h("strong", {}, each.critical ? "Critical: " : "Warning: "), sentence(each.text)),
      each.mend && h("p", { class: "muted" }, sentence(each.mend)),
      farm.servers.has(each.about) && h("p", { class: "buttons" },
        h("a", { href: `#/servers/${encodeURIComponent(each.about)}` }, "Look at ", name(each.about)),
        actionButton(context, "drain", { servers: [each.about] }, each.about))))
      : h("li", { class: "fine" }, "Nothing."));
  }

  function showHome({ sent_local: sent, refusals }) {
    const rows = [...Object.entries(sent), ...Object.entries(refusals)].sort((a, b) => b[1] - a[1]);
    const now = JSON.stringify(rows);
    if (now === homeDrawn) return;
    homeDrawn = now;
    fill(home, rows.length ? bars(rows.slice(0, MOST_REASONS).map(([word, number]) => ({
      label: h("a", { href: `#/sent-home?reason=${encodeURIComponent(word)}`, title: meaning(word).means }, word),
      text: count(number), size: number, mark: "home",
    }))) : h("p", { class: "muted" }, "Nothing."));
  }

  const timer = setInterval(askForClients, CLIENTS_MSECS);
  askForClients();
  return {
    update() {
      const { status, history } = farm;
      if (!status) return;
      const found = rates(status);
      for (const tile of tiles) {
        say(tile.number, tile.value(found));
        say(tile.more, tile.beside(status));
        fill(tile.picture, sparkline(history[tile.series], SAMPLES, tile.top));
      }
      showAttention(status.attention);
      showHome(status.recent);
      if (paused !== Boolean(status.paused)) {
        paused = Boolean(status.paused);
        fill(farmActions, paused ? actionButton(context, "resume", {}) : actionButton(context, "pause", {}));
      }
    },
    close: () => clearInterval(timer),
  };
}
