// Numbers, durations and times, as people read them. What is not known is a dash, never 0.
import { h } from "./dom.js";
import { now } from "./api.js";

const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const PLAIN = new Intl.NumberFormat("en");

export function count(value) {
  return known(value) ? PLAIN.format(value) : "–";
}

export function percent(value, digits = 1) {
  return known(value) ? `${(100 * value).toFixed(value === 0 || value === 1 ? 0 : digits)} %` : "–";
}

export function decimal(value, digits = 1) {
  return known(value) ? value.toFixed(digits) : "–";
}

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** A duration in seconds, in its two largest units. */
export function secs(value) {
  if (!known(value)) return "–";
  if (value < 0) value = 0;
  if (value < 0.095 && value > 0) return `${+(1000 * value).toFixed(1)} ms`;
  if (value < 60) return `${+value.toFixed(value < 10 ? 2 : 1)} s`;
  const at = UNITS.findIndex(([, size]) => value >= size);
  const [[large, size], next] = [UNITS[at], UNITS[at + 1]];
  const rest = next ? Math.floor((value % size) / next[1]) : 0;
  return `${Math.floor(value / size)} ${large}` + (rest ? ` ${rest} ${next[0]}` : "");
}

/** Seconds that pass: whole ones. */
export function age(value) {
  const whole = known(value) && Math.max(0, Math.round(value));
  return known(value) ? (whole < 60 ? `${whole} s` : secs(whole)) : "–";
}

export function bytes(value) {
  if (!known(value)) return "–";
  const at = value < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(value) / 3));
  const shown = value / 1000 ** at;
  return `${at && shown < 10 ? shown.toFixed(1) : Math.round(shown)} ${["B", "kB", "MB", "GB", "TB"][at]}`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** A time in seconds since 1970, as text of this place; of another day, with the day. */
export function clock(value) {
  if (!known(value)) return "–";
  return (Math.abs(now() - value) < 43200 ? CLOCK : DAY).format(new Date(1000 * value));
}

/** The same as an element that has UTC in its title. */
export function time(value) {
  if (!known(value)) return "–";
  const utc = new Date(1000 * value).toISOString();
  return h("time", { datetime: utc, title: utc.replace("T", " ").replace("Z", " UTC") }, clock(value));
}

/** A plural: `2 jobs`. */
export function some(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}
