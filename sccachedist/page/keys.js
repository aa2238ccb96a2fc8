// The keys, and the dialog that lists them. Who dictates or has a tremor can turn single keys off.
import { h } from "./dom.js";

const OFF = "keys-off";

export function canUseKeys() {
  return !localStorage.getItem(OFF);
}

/** List the keys. `views`: their ids by the second key. */
export function showKeys(views, modules) {
  const rows = [
    ["/", "to the filter"], ["p", "pause, and go on"], ["?", "this list"],
    ...Object.entries(views).map(([key, id]) => [`g ${key}`, `to ${modules[id].title}`]),
    ["Esc", "closes a dialog"],
  ];
  const use = h("input", { type: "checkbox", id: "use-keys", checked: canUseKeys(), onchange: () => {
    if (use.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  } });
  const dialog = h("dialog", { "aria-labelledby": "keys-title", onclose: () => dialog.remove() },
    h("h2", { id: "keys-title" }, "Keys"),
    h("dl", { class: "keys" }, rows.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
    h("p", {}, use, " ", h("label", { for: "use-keys" }, "Single keys do something")),
    h("p", { class: "buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}
