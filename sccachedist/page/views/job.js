// One job: what became of it and why, what mends that, and where its time went.
import { actionButton } from "../actions.js";
import { get, now } from "../api.js";
import { bar } from "../charts.js";
import { fill, h, name, quoted, sentence } from "../dom.js";
import { timed } from "../feed.js";
import { age, bytes, secs, time } from "../format.js";
import { digits, toClient, toServer } from "../links.js";
import { PHASES, explained, outcome, phase } from "../vocabulary.js";

export const title = "Job";

const ASK_MSECS = 2000;

function waterfall(job) {
  const words = PHASES.filter((word) => job.phases[word] !== undefined);
  const whole = words.reduce((sum, word) => sum + job.phases[word], 0) || 1;
  let before = 0;
  const rows = words.map((word) => {
    const took = job.phases[word], start = before;
    before += took;
    const span = h("span", { class: "bar waterfall", "aria-hidden": "true" },
      h("span", { style: { "margin-left": `${(100 * start) / whole}%`, width: `${Math.max(0.2, (100 * took) / whole)}%` } }));
    return h("tr", {}, h("th", { scope: "row" }, word), h("td", { class: "number" }, secs(took)), h("td", { class: "wide" }, span),
      h("td", {}, phase(word).means, word === "sandbox" && job.prewarmed ? " (it stood ready)" : ""));
  });
  return h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Phases" }, h("table", {}, h("caption", { class: "hidden" }, "Phases of the job"),
    h("thead", {}, h("tr", {}, ["Phase", "Took", "When", "What happens"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)));
}

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text))));
}

function over(job, before) {
  const { means, mend } = explained(job);
  const others = before.filter((row) => row.id !== job.id).slice(0, 5);
  return [
    h("section", { class: `verdict ${job.outcome}` }, h("p", {}, outcome(job)), means.map((text) => h("p", {}, text)),
      mend && h("p", {}, h("strong", {}, "What mends it: "), mend),
      job.detail && [h("h2", {}, "Detail"), quoted(job.detail)]),
    facts([
      ["Asked", time(job.asked)], ["Ended", time(job.ended)], ["Total", secs(job.ended - job.asked)], ["Client", toClient(job.client)],
      ["Build server", toServer(job.server)], ["Compiler", name(job.compiler)], ["Toolchain", digits(job.toolchain)],
      ["Exit status", job.exit === null ? "–" : String(job.exit)],
      ["CPU", job.cpu_user === null ? "–" : `${secs(job.cpu_user)} user, ${secs(job.cpu_system)} system`], ["Peak memory", bytes(job.memory)],
      ["In", bytes(job.in)], ["Out", bytes(job.out)], ["Toolchain uploaded", bytes(job.uploaded)]]),
    h("section", {}, h("h2", {}, "Where the time went"), waterfall(job)),
    others.length > 0 && h("section", {}, h("h2", {}, "The same file before"), h("ul", { class: "plain" }, others.map((row) =>
      h("li", {}, h("a", { href: `#/jobs/${row.id}` }, time(row.ended)), ": ", secs(row.ended - row.asked), ", ", outcome(row))))),
    h("p", {}, h("a", { href: `api/v1/farm/jobs/${encodeURIComponent(job.id)}` }, "JSON"), " · ",
      h("a", { href: `api/v1/farm/trace?${new URLSearchParams({ server: job.server || "", since: Math.ceil(now() - job.asked + 60) })}`, download: "trace.json" }, "Chrome trace of its build server")),
  ];
}

function runs(context, row) {
  return [
    h("p", {}, "It runs: this page changes when it is over."),
    facts([["Phase", row.phase], ["For", age(now() - row.began)], ["Client", toClient(row.client)], ["Build server", toServer(row.server)], ["Toolchain", digits(row.toolchain)]]),
    h("p", { class: "buttons" }, actionButton(context, "kill", { job: row.id }, `job ${row.id}`, "Kill")),
  ];
}

export function open(root, context, heading) {
  const [id] = context.rest;
  let timer = 0;
  fill(heading, "Job ", name(id));

  async function refresh() {
    try {
      const { job, running } = await get(`jobs/${encodeURIComponent(id)}`);
      if (job) {
        const before = job.output ? (await get("jobs", { output: job.output, limit: 6 })).jobs : [];
        fill(heading, job.output ? name(job.output, 120) : `Job ${job.id}`);
        fill(root, job.output && h("p", { class: "muted" }, `Job ${job.id}`), over(job, before));
      } else {
        fill(root, runs(context, timed(running)));
        timer = setTimeout(refresh, ASK_MSECS);
      }
    } catch (failure) {
      fill(root, h("p", { role: "alert" }, failure.status === 404 ? sentence(failure.message) : "It could not be asked for. Trying again…"));
      if (failure.status !== 404) timer = setTimeout(refresh, ASK_MSECS);
    }
  }

  refresh();
  return { close: () => clearTimeout(timer) };
}
