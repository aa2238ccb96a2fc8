// To come.
import { h } from "../dom.js";

export const title = "Toolchains";

export function open(root) {
  root.append(h("p", {}, "To come."));
  return {};
}
