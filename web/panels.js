// web/panels.js - the parts of a job that are text: its log, its events, its job file and its
// files.

import {add, el, freshId, replace, setText} from "./dom.js";
import {bytes, integer, time} from "./format.js";
import {Followed} from "./live.js";
import {call, fileAddress} from "./rpc.js";

const LINES_MOST = 4000;
const NEAR = 40;  // pixels from the end of the log within which it follows

export class LogPanel {
  constructor(host, id, onState) {
    const wrap = freshId("wrap");
    this.offset = "0";
    this.lines = 0;
    this.rest = "";
    this.state = el("span", {class: "hint", role: "status"});
    this.text = el("pre", {class: "log", tabindex: "0", "aria-label": "log"});
    add(host,
      el("div", {class: "controls"},
        el("label", {class: "check", "for": wrap}, el("input", {
          id: wrap,
          type: "checkbox",
          onchange: (e) => this.text.classList.toggle("wrap", e.target.checked),
        }),
          "wrap lines"),
        this.state),
      this.text);
    this.followed = new Followed(
      "FollowLogs", () => ({id, fromOffset: this.offset}), (m) => this.#add(m), (kind, text) => {
        setText(this.state,
          {
            live: "",
            ended: "the log is complete",
            waiting: `not live: ${text}`,
            failed: text?.message
          }[kind] ||
            "");
        onState(kind, text);
      }).start();
  }

  close() { this.followed.stop(); }

  #add(message) {
    const follows = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < NEAR;
    const lines = (this.rest + (message.text || "")).split("\n");
    this.offset = message.nextOffset || this.offset;
    this.rest = lines.pop();
    for (const line of lines) {
      const level = /^\S+ (warning|warn|error|fatal) /.exec(line)?.[1];
      this.text.append(el("span",
        {class: level ? `log-${level[0] === "w" ? "warning" : "error"}` : null}, `${line}\n`));
    }
    this.lines += lines.length;
    for (; this.lines > LINES_MOST; this.lines--) this.text.firstChild.remove();
    if (follows) this.text.scrollTop = this.text.scrollHeight;
  }
}

export function eventRows(events) {
  return events.map((e) => {
    const kind = {STATE_CHANGED: e.state,
      PHASE_CHANGED: e.phase?.toLowerCase(),
      NOTICED: "note"}[e.kind] ||
      "";
    return el("tr", {class: `event event-${String(e.kind).toLowerCase()}`},
      el("td", {class: "number", title: time(e.timeMs)}, time(e.timeMs)), el("td", {}, kind),
      el("td", {class: "words"}, e.text || ""));
  });
}

export function eventTable() {
  const body = el("tbody", {});
  const table = el("table", {class: "plain"},
    el("thead", {},
      el("tr", {}, ["Time", "What", "Words"].map((t) => el("th", {scope: "col"}, t)))),
    body);
  return {table, body};
}

export function showFile(panel, yaml) {
  replace(panel, el("p", {class: "hint"}, "The job file with all defaults filled in."),
    el("pre", {class: "file", tabindex: "0", "aria-label": "job file"}, yaml || ""));
}

export async function showFiles(panel, id) {
  const {files = []} = await call("ListFiles", {id});
  if (!files.length) return replace(panel, el("p", {class: "hint"}, "The job has no files yet."));
  return replace(panel,
    el("table", {class: "plain"},
      el("thead", {},
        el("tr", {}, el("th", {scope: "col"}, "File"),
          el("th", {scope: "col", class: "number"}, "Size"),
          el("th", {scope: "col", class: "number"}, "Changed"))),
      el("tbody", {},
        files.map(
          (f) => el("tr", {},
            el("td", {},
              el("a", {href: fileAddress(id, f.path), download: f.path.split("/").pop()}, f.path)),
            el("td", {class: "number", title: `${integer(Number(f.bytes || 0))} bytes`},
              bytes(f.bytes || 0)),
            el("td", {class: "number"}, time(f.timeMs)))))));
}
