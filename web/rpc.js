// web/rpc.js - calls of dashd: a method is a POST of JSON, a stream of messages is a GET of
// server-sent events. Addresses are relative: the page may live below a path.

const SERVICE = "rpc/dash.v1.FineTuning/";

export class RpcError extends Error {
  constructor(code, message, violations = []) {
    super(message);
    this.code = code;
    this.violations = violations;
  }
}

async function errorOf(response) {
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    return new RpcError(String(body.code || "UNKNOWN"),
      String(body.message || `status ${response.status}`), body.violations || []);
  } catch {
    const code = response.status === 401 ? "UNAUTHENTICATED" : "UNAVAILABLE";
    return new RpcError(code, `the server answers with status ${response.status}`);
  }
}

async function send(address, options) {
  try {
    return await fetch(address, {credentials: "same-origin", cache: "no-store", ...options});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RpcError("UNAVAILABLE", "dashd cannot be reached");
  }
}

// Without a body where there is none: dashd refuses one where it expects none.
async function post(address, body, signal) {
  const json = body && {
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify(body),
  };
  const response = await send(address, {method: "POST", signal, ...json});
  if (!response.ok) throw await errorOf(response);
  const type = response.headers.get("Content-Type") || "";
  return type.startsWith("application/json") ? response.json() : {};
}

export function call(method, request = {}, signal = undefined) {
  return post(SERVICE + method, request, signal);
}

export const logIn = (token) => post("login", {token});
export const logOut = () => post("logout");

export function fileAddress(id, path) {
  return `files/${encodeURIComponent(id)}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

// The text of a result file; null where the job has no such file.
export async function fileText(id, path, signal) {
  const response = await send(`${fileAddress(id, path)}?view`, {signal});
  if (response.status === 404) return null;
  if (!response.ok) throw await errorOf(response);
  return response.text();
}

// The events of a stream as they arrive: {event, data}, and null for any other sign of life.
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    yield null;
    for (const block of blocks) {
      const event = {event: "message", data: ""};
      for (const line of block.split("\n")) {
        if (line.startsWith("event: "))
          event.event = line.slice(7);
        else if (line.startsWith("data: "))
          event.data += line.slice(6);
      }
      if (event.data) yield event;
    }
  }
}

// Calls onMessage for each message; returns when the stream has ended as it should. Throws an
// RpcError where it ends otherwise, and UNAVAILABLE where nothing comes for `silence` ms.
export async function stream(method, request, {signal, onOpen, onMessage, silence = 25000}) {
  const own = new AbortController();
  const stop = () => own.abort();
  let timer = setTimeout(stop, silence);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  try {
    const address = `${SERVICE}${method}?message=${encodeURIComponent(JSON.stringify(request))}`;
    const response =
      await send(address, {headers: {Accept: "text/event-stream"}, signal: own.signal});
    if (!response.ok) throw await errorOf(response);
    onOpen?.();
    for await (const event of eventsOf(response.body)) {
      clearTimeout(timer);
      timer = setTimeout(stop, silence);
      if (event?.event === "message") onMessage(JSON.parse(event.data));
      if (event?.event === "end") {
        const end = JSON.parse(event.data);
        if (!end.code || end.code === "OK") return;
        throw new RpcError(end.code, end.message || end.code);
      }
    }
    throw new RpcError("UNAVAILABLE", "the connection to dashd has ended");
  } catch (error) {
    if (signal.aborted || error instanceof RpcError) throw error;
    throw new RpcError("UNAVAILABLE",
      own.signal.aborted ? "dashd sends nothing any more" : "the connection to dashd was lost");
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
