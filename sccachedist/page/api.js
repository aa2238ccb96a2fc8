// What is asked of the scheduler, and its clock. Who asks is known by a cookie that no script can read.

const ASK_MSECS = 20000;
let ahead = 0; // seconds of the scheduler's clock before ours

/** The time by the scheduler's clock, in seconds since 1970. */
export function now() {
  return Date.now() / 1000 + ahead;
}

/** An answer that is none. The status is 0 if no answer came at all. */
export class Failure extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function ask(path, options) {
  let answer;
  try {
    const limit = AbortSignal.timeout(ASK_MSECS);
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", signal: limit, ...options });
  } catch {
    throw new Failure(0, "The scheduler does not answer.");
  }
  const date = Date.parse(answer.headers.get("Date") || "");
  if (date && Math.abs(date / 1000 + 0.5 - now()) > 1) ahead = (date + 500 - Date.now()) / 1000;
  if (answer.ok) return answer;
  const said = await answer.json().then((body) => body.description, () => null);
  throw new Failure(answer.status, said || `The scheduler answered ${answer.status}.`);
}

/** A document of the farm. Parts of the query that are empty are left out. */
export async function get(path, query = {}) {
  const asked = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(asked).toString();
  const answer = await ask(`api/v1/farm/${path}${search && "?" + search}`, { headers: { Accept: "application/json" } });
  return answer.json();
}

/** Let the scheduler do something, or say what it would do. */
export async function act(order) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const answer = await ask("api/v1/admin/actions", { method: "POST", headers, body: JSON.stringify(order) });
  return answer.json();
}

/** Who asks, and what the farm is called. */
export async function me() {
  try {
    return await get("me");
  } catch (failure) {
    if (failure.status === 0) throw failure;
    return { role: "client", name: null, title: null };
  }
}

export async function signIn(token) {
  await ask("login", { method: "POST", body: new URLSearchParams({ token }) });
}

export async function signOut() {
  await ask("logout", { method: "POST", headers: { "Content-Type": "application/json" } });
}
