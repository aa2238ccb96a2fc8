// Links from one view to another.
import { h, name, printable } from "./dom.js";

export function toJob(id, text = `…${id.slice(-6)}`) {
  return h("a", { href: `#/jobs/${encodeURIComponent(id)}`, "aria-label": `Job ${id}` }, text);
}

/** The jobs for which something holds: `#/jobs?client=…`. */
export function toJobs(query, text) {
  return h("a", { href: `#/jobs?${new URLSearchParams(query)}` }, text);
}

export function toServer(address, shown = name(address)) {
  return address ? h("a", { href: `#/servers/${encodeURIComponent(address)}`, title: printable(address) }, shown) : "–";
}

export function toClient(client) {
  return client ? toJobs({ client }, name(client, 30)) : "–";
}

/** The first digits of a toolchain's id. */
export function digits(toolchain) {
  return toolchain ? h("code", { title: toolchain }, toolchain.slice(0, 12)) : "–";
}
