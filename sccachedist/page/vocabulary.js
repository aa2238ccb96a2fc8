// The words of what becomes of a compile, each with what it means and what mends it. They come from the scheduler.
import { h, name } from "./dom.js";
import { WORDS } from "./words.js";

/** Where a reason of this outcome stands. */
function reasons(row) {
  return WORDS[row.outcome === "refused" ? "refusal" : "sent_local"];
}

/** What happened to a request, in a sentence each, the most exact last; and what mends it. */
export function explained(row) {
  const found = [WORDS.outcome[row.outcome], reasons(row)[row.reason], row.reason === "suspicious" && WORDS.suspicious[row.kind]];
  const sentences = found.filter(Boolean);
  const mend = sentences.map((each) => each.mend).filter(Boolean).pop() || "";
  return { means: sentences.map((each) => each.means), mend };
}

/** What a phase is. */
export function phase(word) {
  return WORDS.phase[word] || { means: "", mend: "" };
}

export const PHASES = Object.keys(WORDS.phase);

/** What a reason or outcome means, whatever kind of word it is. */
export function meaning(word) {
  return WORDS.sent_local[word] || WORDS.refusal[word] || WORDS.outcome[word] || { means: "", mend: "" };
}

const MARKS = { compiled: "ok", compile_error: "error", sent_local: "home", refused: "home" };

/** How an outcome is marked: the name of a style. */
export function markOf(outcome) {
  return MARKS[outcome] || "lost";
}

/** The word of what became of a request, with its reason. */
export function outcome(row) {
  const why = [row.reason, row.kind].filter(Boolean).join(", ");
  return h("span", { class: `outcome ${markOf(row.outcome)}` }, row.outcome, why && [": ", name(why)]);
}
