// The page: its head, its views, keys and the state in the URL. A view shows one thing, and knows no other view.
import * as api from "./api.js";
import { fill, h, printable, say } from "./dom.js";
import { farm, listen, start } from "./feed.js";
import { age, clock } from "./format.js";
import { canUseKeys, showKeys } from "./keys.js";
import * as clientsView from "./views/clients.js";
import * as eventsView from "./views/events.js";
import * as farmView from "./views/farm.js";
import * as jobView from "./views/job.js";
import * as jobsView from "./views/jobs.js";
import * as sentHomeView from "./views/sent_home.js";
import * as serversView from "./views/servers.js";
import * as signInView from "./views/sign_in.js";
import * as slotsView from "./views/slots.js";
import * as toolchainsView from "./views/toolchains.js";

const VIEWS = {
  farm: farmView, servers: serversView, slots: slotsView, jobs: jobsView, clients: clientsView,
  toolchains: toolchainsView, "sent-home": sentHomeView, events: eventsView,
};
const KEYS = { f: "farm", s: "servers", l: "slots", j: "jobs", c: "clients", t: "toolchains", h: "sent-home", e: "events" };
const GO_MSECS = 1500;
const $ = (id) => document.getElementById(id);
const main = $("main");
let who = { role: "anyone" }, current = null, paused = false, goes = 0;

// Where we are: `#/servers?state=avoided`, or `#/jobs/412` for one job.
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/").map(decodePart);
  return { view: view || "farm", rest, params: new URLSearchParams(query || "") };
}

function decodePart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function viewOf({ view, rest }) {
  if (view === "sign-in" || farm.link === "refused") return signInView;
  return view === "jobs" && rest.length ? jobView : VIEWS[view] || farmView;
}

/** What a view may use of the page. */
const context = {
  get params() { return place().params; },
  get rest() { return place().rest; },
  get me() { return who; },
  get isAdministrator() { return who.role === "administrator"; },
  /** Keep a part of the view's state in the URL; an empty one is left out. */
  keep(key, value) {
    const { view, rest, params } = place();
    if (value) params.set(key, value);
    else params.delete(key);
    const search = params.toString();
    history.replaceState(null, "", `#/${[view, ...rest].map(encodeURIComponent).join("/")}${search && "?" + search}`);
  },
  async signedIn() {
    who = await api.me();
    location.hash = "#/farm";
    await start();
    show(true);
  },
};

function show(again = false) {
  const at = place(), view = viewOf(at), key = JSON.stringify([at.view, at.rest]);
  if (!again && current?.module === view && current.key === key) {
    current.view.update?.(null);
    return;
  }
  const first = current === null;
  current?.view.close?.();
  const heading = h("h1", { tabindex: -1 }, view.title);
  const root = h("div", { class: "view" });
  fill(main, heading, root);
  current = { module: view, key };
  current.view = view.open(root, context, heading);
  current.view.paused?.(paused);
  if (farm.status) current.view.update?.(null);
  if (!first) heading.focus({ preventScroll: true });
  head();
}

function head() {
  const { status, link } = farm;
  const title = printable(who.title || "sccachedist").slice(0, 80), critical = status?.attention.filter((found) => found.critical).length;
  document.title = `${critical ? `(${critical}!) ` : ""}${current.module.title} · ${title}`;
  say($("brand"), title);
  say($("uptime"), status ? `up ${age(api.now() - status.began)} · ${printable(status.version).slice(0, 30)} · ${clock(api.now())}` : "");
  const words = { connecting: "connecting", live: "live", polling: "every 10 s", lost: "disconnected", refused: "signed out", hidden: "at rest" };
  say($("live"), paused ? "paused" : words[link]);
  $("live").dataset.link = paused ? "paused" : link;
  say($("banner"), link === "lost" ? `Disconnected since ${clock(farm.heard)}: what is shown is from then. Trying again…`
    : status?.paused ? `${printable(status.paused.by || "Somebody")} has paused the farm: clients compile by themselves. ${printable(status.paused.reason || "").slice(0, 300)}` : "");
  say($("who"), who.role === "anyone" ? "" : [who.name !== who.role && who.name && printable(who.name).slice(0, 60), who.role].filter(Boolean).join(", "));
  say($("sign"), who.role === "administrator" || who.role === "viewer" ? "Sign out" : "Sign in");
  $("sign").hidden = current.module === signInView;
  document.body.classList.toggle("stale", link === "lost");
  navigation();
}

function navigation() {
  const { status } = farm;
  const counts = { servers: farm.servers.size || null, jobs: status?.running || null };
  if (!$("views").children.length) {
    fill($("views"), Object.entries(VIEWS).map(([id, view]) =>
      h("li", {}, h("a", { href: `#/${id}`, data: { view: id } }, view.title, h("span", { class: "count" })))));
  }
  const { view } = place();
  for (const link of $("views").querySelectorAll("a")) {
    const { view: id } = link.dataset;
    say(link.querySelector(".count"), counts[id] ? ` ${counts[id]}` : "");
    if (id === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

let wasRefused = false;
listen((message) => {
  current?.view.take?.(message);
  const refused = farm.link === "refused";
  if (refused !== wasRefused) {
    wasRefused = refused;
    show(true);
  } else if (!paused) current?.view.update?.(message);
  head();
});
setInterval(head, 1000);

function pause() {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  current.view.paused?.(paused);
  if (!paused) current.view.update?.(null);
  head();
}

const THEMES = ["auto", "light", "dark"];

function theme(chosen) {
  document.documentElement.dataset.theme = chosen;
  say($("theme"), `Theme: ${chosen}`);
  localStorage.setItem("theme", chosen);
  current?.view.themed?.();
}

$("theme").addEventListener("click", () =>
  theme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]));
$("pause").addEventListener("click", pause);
$("keys").addEventListener("click", () => showKeys(KEYS, VIEWS));
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
$("sign").addEventListener("click", async () => {
  if ($("sign").textContent === "Sign out") {
    await api.signOut();
    who = await api.me();
    start();
  }
  location.hash = "#/sign-in";
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !canUseKeys()) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea, dialog, [role=application]")) return;
  const { key } = event;
  if (Date.now() < goes && KEYS[key]) location.hash = `#/${KEYS[key]}`;
  else if (key === "p") pause();
  else if (key === "?") showKeys(KEYS, VIEWS);
  else if (key === "/") document.querySelector("#main input[type=search]")?.focus();
  else {
    goes = key === "g" ? Date.now() + GO_MSECS : 0;
    return;
  }
  goes = 0;
  event.preventDefault();
});

window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#/") || !location.hash) show();
});

theme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");
who = await api.me().catch(() => who);
show();
start();
