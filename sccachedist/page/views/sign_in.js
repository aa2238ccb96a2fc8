// Who are you? The token goes to the scheduler and nowhere else: the browser gets a cookie that no script can read.
import { signIn } from "../api.js";
import { fill, h, labelled } from "../dom.js";
import { farm } from "../feed.js";

export const title = "Sign in";

export function open(root, context) {
  const token = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, spellcheck: "false" });
  const problem = h("p", { role: "alert", class: "bad" });
  const button = h("button", { type: "submit", class: "primary" }, "Sign in");
  root.append(...[
    farm.refusal && h("p", { class: "bad" }, farm.refusal),
    h("p", {}, "Show a token of this farm: developers have one in the configuration of ", h("code", {}, "sccache"), ", administrators their own."),
    h("form", { method: "post", action: "login", onsubmit: submit }, labelled("Token", token), button), problem].filter(Boolean));

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    fill(problem);
    try {
      await signIn(token.value);
      await context.signedIn();
    } catch (failure) {
      fill(problem, failure.status === 401 ? "This token is none of this farm." : failure.message);
      token.focus();
    }
    button.disabled = false;
  }

  token.focus();
  return {};
}
