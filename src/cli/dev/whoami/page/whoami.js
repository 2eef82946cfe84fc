// Shows what arrives at munjigi dev's built-in backend while it arrives.
"use strict";
const MOST_REQUESTS = 8;
const MOST_LETTERS = 123; // A close frame's reason (RFC 6455 §5.5).

const live = document.getElementById("live");
if (live) {
  const [socketState, echo, streamState, requests, send, connect] =
    ["socket", "echo", "stream", "requests", "send", "connect"].map((id) => document.getElementById(id));
  const words = live.dataset;
  let socket, stream, number = 0;

  const openSocket = () => {
    socketState.textContent = words.waiting;
    socket = new WebSocket(`wss://${location.host}/ws`);
    socket.onopen = () => { socketState.textContent = words.open; say(); };
    socket.onmessage = (message) => { echo.textContent = `${words.echo} ${message.data}`; };
    socket.onclose = (end) => {
      echo.textContent = "";
      socketState.textContent = `${words.closed} ${end.code} ${end.reason.slice(0, MOST_LETTERS)}`.trim();
      connect.hidden = false;
    };
  };
  const say = () => { if (socket.readyState === WebSocket.OPEN) socket.send(`${++number}`); };

  const openStream = () => {
    streamState.textContent = words.waiting;
    stream = new EventSource("/whoami/requests");
    stream.onopen = () => { streamState.textContent = words.open; };
    stream.onmessage = (event) => { show(JSON.parse(event.data)); };
    stream.onerror = () => {
      const isOver = stream.readyState === EventSource.CLOSED;
      streamState.textContent = isOver ? words.closed : words.waiting;
      if (isOver) connect.hidden = false;
    };
  };

  const show = (seen) => {
    const cell = (name, text) => {
      const made = document.createElement(name);
      made.textContent = text;
      return made;
    };
    const rows = Object.entries(seen.headers).map(([name, value]) => {
      const row = document.createElement("tr");
      const heading = cell("th", name);
      heading.scope = "row";
      row.append(heading, cell("td", value));
      return row;
    });
    const [item, details, scroll, table, body] =
      ["li", "details", "div", "table", "tbody"].map((name) => document.createElement(name));
    scroll.className = "scroll";
    table.className = "table";
    body.append(...rows);
    table.append(body);
    scroll.append(table);
    details.append(cell("summary", `${seen.method} ${seen.target}`), scroll);
    item.append(details);
    requests.prepend(item);
    while (requests.children.length > MOST_REQUESTS) requests.lastElementChild.remove();
  };

  live.hidden = false;
  openSocket();
  openStream();
  setInterval(say, 5000);
  send.addEventListener("click", () => { fetch(`/whoami/hello?n=${Date.now() % 1000}`); });
  connect.addEventListener("click", () => {
    connect.hidden = true;
    if (socket.readyState === WebSocket.CLOSED) openSocket();
    if (stream.readyState === EventSource.CLOSED) openStream();
  });
}

const mails = document.getElementById("mails");
if (mails) {
  const news = new EventSource(`/public/mails/events?count=${mails.dataset.count}`);
  // Nobody who is marking a code loses it.
  news.onmessage = () => { if (String(getSelection()) === "") location.reload(); };
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.done;
  });
}
