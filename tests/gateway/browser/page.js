// A front end of its own origin, which works as axios does: one instance whose requests carry
// cookies, JSON both ways, the access token in memory, and an interceptor that answers a 401 with
// one reissue and one retry. What it finds it tells to the server that it came from.
"use strict";

const asked = new URLSearchParams(location.search);
const api = asked.get("api");
const ACCOUNT = { email: "you@example.com", password: "correct horse 1", nickname: "you" };

let accessToken = null;

/** One request. A status of 0 is what a script gets of an answer that it may not read. */
function send(method, path, { body, bearer = accessToken } = {}) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open(method, api + path);
    request.withCredentials = true;
    request.setRequestHeader("Accept", "application/json, text/plain, */*");
    if (bearer !== null) request.setRequestHeader("Authorization", bearer);
    if (body !== undefined) request.setRequestHeader("Content-Type", "application/json");
    request.onloadend = () =>
      resolve({
        status: request.status,
        text: request.responseText,
        authorization: request.getResponseHeader("authorization"),
        headers: request.getAllResponseHeaders(),
      });
    request.send(body === undefined ? null : JSON.stringify(body));
  });
}

/** The refresh token is the browser's: a script sends no token, and gets one in a header. */
async function reissue() {
  const answer = await send("POST", "/auth/reissue", { bearer: null });
  if (answer.status === 200) accessToken = answer.authorization;
  return answer;
}

/** The interceptor: the statuses on the way, and the last answer. */
async function call(method, path, options) {
  const first = await send(method, path, options);
  if (first.status !== 401) return { statuses: [first.status], answer: first };
  const again = await reissue();
  if (again.status !== 200) return { statuses: [401, again.status], answer: first };
  const retried = await send(method, path, options);
  return { statuses: [401, 200, retried.status], answer: retried };
}

async function logIn(found) {
  const answer = await send("POST", "/auth/login", { body: ACCOUNT });
  accessToken = answer.authorization;
  found.login = answer.status;
  found.bodyHasTheHeadersToken =
    answer.status === 200 && `Bearer ${JSON.parse(answer.text).data.accessToken}` === accessToken;
  found.scriptSeesCookie =
    document.cookie.includes("refresh") || /^set-cookie:/im.test(answer.headers);
}

/** A page that some other server sends to a user who is logged in. */
function postForm() {
  return new Promise((resolve) => {
    document.body.innerHTML = `<iframe name="sink"></iframe>
      <form method="post" target="sink" action="${api}/auth/reissue"></form>`;
    const sink = document.querySelector("iframe");
    document.querySelector("form").submit();
    sink.onload = () => {
      // A frame shows an empty page of our own before the answer comes.
      if (sink.contentDocument === null) resolve("answered");
    };
  });
}

const scripts = {
  /** A session from sign-up to log-out. */
  async whole(found) {
    found.signup = (await send("POST", "/auth/signup", { body: ACCOUNT })).status;
    await logIn(found);
    found.before = (await call("GET", "/api/x")).statuses;
    found.expired = await eventually(async () => (await send("GET", "/api/x")).status === 401);
    found.after = (await call("GET", "/api/x")).statuses;
    found.logout = (await call("POST", "/auth/logout")).statuses.at(-1);
    const over = await reissue();
    found.reissueAfterLogout = [over.status, JSON.parse(over.text).message];
    found.unknownPath = (await send("GET", "/nowhere", { bearer: null })).status;
  },

  /** A user who stays logged in. */
  async enter(found) {
    found.signup = (await send("POST", "/auth/signup", { body: ACCOUNT })).status;
    await logIn(found);
  },

  /** A page of an origin that the gateway does not know. */
  async intrude(found) {
    found.login = (await send("POST", "/auth/login", { body: ACCOUNT })).status;
    found.reissue = (await send("POST", "/auth/reissue")).status;
    found.read = (await send("GET", "/public/x")).status;
    const blind = { method: "POST", mode: "no-cors", credentials: "include" };
    found.blindReissue = (await fetch(api + "/auth/reissue", blind)).type;
    found.form = await postForm();
  },

  /** The same user again. */
  async stay(found) {
    found.reissue = (await reissue()).status;
    found.read = (await send("GET", "/api/x")).status;
  },
};

async function eventually(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
  return true;
}

addEventListener("load", async () => {
  const found = {};
  try {
    await scripts[asked.get("script")](found);
  } catch (error) {
    found.error = String(error);
  }
  await fetch("/report", { method: "POST", body: JSON.stringify(found) });
  const next = asked.get("next");
  if (next !== null) location.assign(next);
});
