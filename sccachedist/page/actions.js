// What administrators do: first it is said what would happen, then it is asked once, then it is said what has happened.
import { Failure, act } from "./api.js";
import { choice, fill, h, labelled, name, printable, sentence } from "./dom.js";
import { refresh } from "./feed.js";

const UNTIL = [["", "until it is undone"], ["3600", "for an hour"], ["28800", "for 8 hours"], ["86400", "for a day"]];
const MOST_LINES = 20;
/** The actions: what the button says, what they need besides, and whether they undo something. */
const ACTIONS = {
  drain: { verb: "Drain", reason: true, until: true },
  undrain: { verb: "Undrain" },
  forgive: { verb: "Forgive" },
  forget_server: { verb: "Forget the build server" },
  kill: { verb: "Kill", reason: true },
  pause: { verb: "Pause the farm", reason: true },
  resume: { verb: "Resume the farm" },
  forget_toolchain: { verb: "Forget the toolchain", reason: true },
};

/** A button that asks for an action; nothing for those who may not. `order` is its part of the request. */
export function actionButton(context, action, order, about, text = ACTIONS[action].verb) {
  if (!context.isAdministrator) return null;
  const label = about ? `${text} ${printable(about)}` : text;
  return h("button", { type: "button", class: "action", "aria-label": label, onclick: () => ask(action, order) }, text);
}

/** The dialog of an action. */
export function ask(action, order) {
  const { verb, reason: needsReason, until: needsUntil } = ACTIONS[action];
  const said = h("div", { class: "said", role: "status" }, "Asking the scheduler what that would do…");
  const reason = h("input", { type: "text", maxlength: 200, autocomplete: "off" });
  let until = "";
  const go = h("button", { type: "submit", class: "primary", disabled: true }, verb);
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", { onsubmit: submit },
    needsReason && h("p", {}, labelled("Reason", reason)),
    needsUntil && h("p", {}, labelled("How long", choice(UNTIL, "", (value) => { until = value; }))),
    h("p", { class: "buttons" }, go, cancel));
  const back = document.activeElement;
  const dialog = h("dialog", { "aria-labelledby": "action-title", onclose: () => {
    dialog.remove();
    if (back?.isConnected) back.focus();
  } }, h("h2", { id: "action-title" }, `${verb}?`), said, form);

  const body = () => ({
    action, ...order, ...(needsReason && { reason: reason.value }), ...(needsUntil && { until: until ? Number(until) : null }),
  });

  function tell({ text, done = [] }) {
    fill(said, h("p", {}, text), h("ul", {}, done.slice(0, MOST_LINES).map((each) => h("li", {}, name(each.about), ": ", sentence(each.text)))),
      done.length > MOST_LINES && h("p", {}, `and ${done.length - MOST_LINES} more`));
  }

  async function attempt(order) {
    try {
      tell(await act(order));
      return true;
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      fill(said, h("p", { class: "bad" }, failure.message));
      return false;
    }
  }

  async function submit(event) {
    event.preventDefault();
    go.disabled = true;
    const done = await attempt(body());
    if (done) {
      refresh();
      for (const field of form.querySelectorAll("p:not(.buttons)")) field.remove();
      go.remove();
      cancel.textContent = "Close";
      cancel.focus();
    } else go.disabled = false;
  }

  document.body.append(dialog);
  dialog.showModal();
  attempt({ ...body(), preview: true }).then((can) => {
    go.disabled = !can;
    if (can && !needsReason) go.focus();
  });
}
