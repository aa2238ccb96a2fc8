// To come.
import { h } from "../dom.js";

export const title = "Events";

export function open(root) {
  root.append(h("p", {}, "To come."));
  return {};
}
