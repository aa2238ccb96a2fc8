// What the page knows of the farm: told by the feed once a second, or asked for every ten seconds where there is no feed.
import { Failure, get, now } from "./api.js";

const POLL_MSECS = 10000, RETRY_MSECS = 3000, FEED_AGAIN_MSECS = 20000, SILENT_SECS = 25, SAMPLES = 90;
const SERIES = ["remote", "slots_used", "waiting", "compiles", "sent_local", "servers"];

/** `link`: connecting, live, polling, lost (since `heard`), refused or hidden. Times of rows do not change by themselves. */
export const farm = {
  link: "connecting", heard: now(), refusal: "", status: null, servers: new Map(), notices: null,
  history: Object.fromEntries(SERIES.map((name) => [name, []])),
};

let source = null, timer = 0, feedAfter = 0;
const listeners = new Set();

/** Be told of each change: with the message of the feed, or null. Returns what ends it. */
export function listen(heard) {
  listeners.add(heard);
  return () => listeners.delete(heard);
}

function tell(message) {
  for (const heard of listeners) heard(message);
}

function link(state) {
  farm.link = state;
  if (state === "live" || state === "polling") farm.heard = now();
}

/** A row of a document with durations, with times instead. */
export function timed(row) {
  const { up_secs: up, seen_secs: seen, secs, ...rest } = row;
  if (up !== undefined) rest.joined = now() - up;
  if (seen !== undefined) rest.seen = now() - seen;
  if (secs !== undefined) rest.began = now() - secs;
  return rest;
}

/** The six numbers of a status: those of the feed, or what follows from the rest. */
export function rates(status) {
  if (status.rates) return status.rates;
  const { outcomes, secs } = status.recent;
  const total = Object.values(outcomes).reduce((sum, each) => sum + each, 0);
  const compiled = (outcomes.compiled || 0) + (outcomes.compile_error || 0);
  return {
    remote: total ? compiled / total : null, slots_used: [status.running, status.slots], waiting: status.waiting,
    compiles_per_sec: secs ? compiled / secs : null, servers: status.servers,
    sent_local_share: total ? ((outcomes.sent_local || 0) + (outcomes.refused || 0)) / total : null,
  };
}

function sampled(status) {
  const found = rates(status);
  return {
    remote: found.remote, slots_used: found.slots_used[0], waiting: found.waiting, compiles: found.compiles_per_sec,
    sent_local: found.sent_local_share, servers: Object.values(found.servers).reduce((sum, each) => sum + each, 0),
  };
}

function add(sample) {
  for (const name of SERIES) {
    farm.history[name].push(sample[name] ?? null);
    if (farm.history[name].length > SAMPLES) farm.history[name].shift();
  }
}

function known(status) {
  const { history, sample, ...rest } = status;
  farm.status = { ...farm.status, ...rest };
  if (rest.up_secs !== undefined) farm.status.began = now() - rest.up_secs;
  if (history) for (const name of SERIES) farm.history[name] = (history[name] || []).slice(-SAMPLES);
  if (sample) add(sample);
}

function begin({ farm: status, servers, notices }) {
  known(status);
  farm.servers = new Map(servers.map((row) => [row.address, row]));
  farm.notices = notices || [];
}

// Of what is known already, a message has only what has changed.
function goOn({ farm: status, sample, servers, notices }) {
  if (status || sample) known({ ...status, ...(sample && { sample }) });
  for (const row of servers?.changed || []) farm.servers.set(row.address, { ...farm.servers.get(row.address), ...row });
  for (const address of servers?.gone || []) farm.servers.delete(address);
  if (notices?.length) farm.notices = [...(farm.notices || []), ...notices].slice(-200);
}

async function poll() {
  const [status, servers] = await Promise.all([get("status"), get("servers")]);
  known(status);
  add(sampled(status));
  farm.servers = new Map(servers.servers.map(timed).map((row) => [row.address, row]));
  farm.notices = (await get("notices").catch(() => null))?.notices || farm.notices;
}

function later(msecs) {
  clearTimeout(timer);
  timer = setTimeout(attempt, msecs);
}

function fail(failure) {
  if (!(failure instanceof Failure)) throw failure;
  const state = failure.status === 401 || failure.status === 403 ? "refused" : "lost";
  link(state);
  farm.refusal = failure.status === 403 ? failure.message : "";
  if (state === "lost") {
    feedAfter = 0; // one that comes back has places again
    later(RETRY_MSECS);
  }
  tell(null);
}

async function attempt() {
  if (document.hidden) return;
  try {
    if (Date.now() < feedAfter || farm.link === "connecting") {
      await poll();
      if (farm.link !== "live") link("polling");
      tell(null);
    } else {
      await get("status"); // whether it answers, and us
    }
  } catch (failure) {
    fail(failure);
    return;
  }
  if (document.hidden) return;
  if (Date.now() < feedAfter) later(POLL_MSECS);
  else open();
}

function open() {
  source?.close();
  const own = new EventSource("api/v1/farm/events");
  const take = (apply) => (event) => {
    const message = JSON.parse(event.data);
    apply(message);
    link("live");
    watch();
    tell(message);
  };
  own.addEventListener("snapshot", take(begin));
  own.addEventListener("tick", take(goOn));
  own.addEventListener("error", () => {
    own.close();
    if (own !== source) return;
    if (farm.link !== "live") feedAfter = Date.now() + FEED_AGAIN_MSECS; // none, or no place in it: ask instead
    else link("connecting");
    attempt();
  });
  source = own;
}

// A connection that broke without a word: a scheduler that is silent for long is asked.
function watch() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    try {
      await get("status");
      link("live");
      watch();
    } catch (failure) {
      source?.close();
      fail(failure);
    }
  }, 1000 * SILENT_SECS);
}

/** Ask now, for something has been done; the feed tells it by itself. */
export function refresh() {
  if (farm.link === "polling") later(0);
}

/** Begin, or begin again as another user. */
export function start() {
  feedAfter = 0;
  source?.close();
  link("connecting");
  return attempt();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) start();
  else {
    clearTimeout(timer);
    source?.close();
    link("hidden");
  }
});
