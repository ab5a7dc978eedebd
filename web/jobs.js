// web/jobs.js - the list of jobs. Rows are kept and changed in place, so that the focus, a
// selection and a reader's place survive each answer.

import {el, freshId, recall, remember, replace, setAttribute, setText} from "./dom.js";
import {ago, duration, fixed, integer, plural, time} from "./format.js";
import {labelsText} from "./labels.js";
import {Followed} from "./live.js";
import {badge, isFinal, maySubmit, phaseText, progressBar, queueText} from "./states.js";
import {setBadge, setProgress, STATES, stepsText} from "./states.js";

const PAGE = 100;
const PAGES_MOST = 10;  // the most jobs that dashd lists at once
const AGES_MS = 10000;  // how long ago jobs were created
const COMPARED_MOST = 8;
const GROUPS = {
  all: {label: "all states", states: []},
  active: {label: "active", states: ["QUEUED", "STARTING", "RUNNING", "PAUSED"]},
  ...Object.fromEntries(
    STATES.map((s) => [s.toLowerCase(), {label: s.toLowerCase(), states: [s]}])),
};

class Row {
  constructor(id, onPick) {
    this.pick = el("input", {type: "checkbox", onchange: () => onPick(id, this.pick.checked)});
    this.link = el("a", {href: `#/job/${id}`});
    this.labels = el("span", {class: "labels"});
    this.badge = badge();
    this.note = el("span", {class: "note-line"});
    this.bar = progressBar();
    this.cells =
      Object.fromEntries(["steps", "loss", "speed", "eta", "where", "restarts", "created"].map(
        (k) => [k, el("span", {})]));
    const cell = (label, name, ...content) =>
      el("td", {"data-label": label, class: name}, content);
    this.node = el("tr", {"data-id": id}, cell("", "pick", this.pick), cell("ID", "number", id),
      cell("Name", "name", this.link, this.labels), cell("State", "state", this.badge, this.note),
      cell("Progress", "progress", this.bar, this.cells.steps),
      cell("Loss", "number", this.cells.loss), cell("Tokens/s", "number", this.cells.speed),
      cell("ETA", "number", this.cells.eta), cell("Where", "where", this.cells.where),
      cell("Restarts", "number", this.cells.restarts),
      cell("Created", "created", this.cells.created));
  }

  update(job, picked) {
    setText(this.link, job.name || `job ${job.id}`);
    setAttribute(this.pick, "aria-label", `compare job ${job.id}, ${job.name}`);
    this.pick.checked = picked;
    setText(this.labels, labelsText(job));
    setBadge(this.badge, job.state);
    setText(this.note, isFinal(job) || job.state === "PAUSED" ? job.reason : phaseText(job));
    setAttribute(this.note, "title", job.reason);
    setProgress(this.bar, job);
    const c = this.cells;
    setText(c.steps, stepsText(job));
    setText(c.loss, job.lastStep ? fixed(Number(job.lastStep.loss || 0)) : "");
    setText(c.speed, job.tokensPerSecond ? integer(job.tokensPerSecond) : "");
    setText(c.eta, job.etaSeconds > 0 ? duration(job.etaSeconds) : "");
    setText(c.where, queueText(job));
    setText(c.restarts, job.restarts || "");
    setText(c.created, ago(job.createdMs));
    setAttribute(
      c.created, "title", `${time(job.createdMs)}${job.createdBy ? ` by ${job.createdBy}` : ""}`);
  }
}

export class JobsView {
  constructor(context) {
    this.context = context;
    this.rows = new Map();
    this.picked = new Set();
    this.pages = 1;
    this.group = recall("group") in GROUPS ? recall("group") : "all";
    this.prefix = "";
    this.#build();
    this.#follow();
    this.clock = setInterval(() => this.#draw(), AGES_MS);
  }

  close() {
    clearInterval(this.clock);
    this.followed.stop();
    clearTimeout(this.typing);
  }

  #build() {
    const search = freshId("search");
    const state = freshId("state");
    this.search = el("input", {
      id: search,
      type: "search",
      placeholder: "name begins with …",
      oninput: (e) => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.#choose({prefix: e.target.value.trim()}), 250);
      },
    });
    this.count = el("span", {class: "hint", role: "status"});
    this.load = el("span", {class: "hint"});
    this.compare = el("a", {class: "button", hidden: true, href: "#/"}, "Compare");
    this.body = el("tbody", {});
    this.more = el("button",
      {type: "button", hidden: true, onclick: () => this.#choose({pages: this.pages + 1})},
      "Show more");
    this.empty = el("div", {class: "empty-page", hidden: true});
    this.table =
      el("table", {class: "jobs"},
        el("thead", {},
          el("tr", {}, el("th", {scope: "col"}, el("span", {class: "visually-hidden"}, "Compare")),
            [
              ["ID", "number"], ["Name"], ["State"], ["Progress"], ["Loss", "number"],
              ["Tokens/s", "number"], ["ETA", "number"], ["Where"], ["Restarts", "number"],
              ["Created"]
            ].map(([title, kind]) => el("th", {scope: "col", class: kind}, title)))),
        this.body);
    replace(this.context.main, el("h1", {}, "Jobs"),
      el("div", {class: "controls"},
        el("label", {"for": search, class: "visually-hidden"}, "Name begins with"), this.search,
        el("label", {"for": state, class: "visually-hidden"}, "State"),
        el("select", {
          id: state,
          onchange: (e) => {
            remember("group", e.target.value);
            this.#choose({group: e.target.value});
          }
        },
          Object.entries(GROUPS).map(
            ([value, g]) => el("option", {value, selected: value === this.group}, g.label))),
        this.count, this.load, this.compare),
      this.table, this.empty, this.more);
  }

  #choose(change) {
    if (!("pages" in change)) this.pages = 1;
    Object.assign(this, change);
    this.followed.stop();
    this.#follow();
  }

  // A stream that is opened again begins anew with all of the list.
  #follow() {
    this.followed = new Followed("WatchJobs", () => {
      this.jobs = new Map();
      return {
        jobs: {
          pageSize: Math.min(PAGES_MOST, this.pages) * PAGE,
          states: GROUPS[this.group].states,
          name: this.prefix ? `${this.prefix}*` : "",
        }
      };
    }, (m) => this.#take(m), this.context.onState).start();
  }

  #take(message) {
    for (const id of message.gone || []) this.jobs.delete(id);
    for (const job of message.jobs || []) this.jobs.set(job.id, job);
    this.newest = [...this.jobs.values()].sort((a, b) => Number(b.id) - Number(a.id));
    this.others = Boolean(message.more);
    this.#draw();
    setText(this.load, `${message.running || 0} running, ${message.queued || 0} queued`);
  }

  #draw() {
    if (this.newest) this.#show(this.newest, this.others);
  }

  #show(jobs, more) {
    const before = this.rows;
    const ids = new Set(jobs.map((job) => job.id));
    for (const [id, row] of before)
      if (!ids.has(id)) row.node.remove();
    this.rows = new Map();
    let at = this.body.firstChild;
    for (const job of jobs) {
      const row = before.get(job.id) || new Row(job.id, (id, on) => this.#pick(id, on));
      row.update(job, this.picked.has(job.id));
      this.rows.set(job.id, row);
      if (row.node === at)
        at = at.nextSibling;
      else
        this.body.insertBefore(row.node, at);
    }
    this.more.hidden = !more || this.pages >= PAGES_MOST;
    this.table.hidden = !jobs.length;
    setText(
      this.count, jobs.length ? `${plural(jobs.length, "job")}${more ? ", the newest" : ""}` : "");
    this.#showEmpty(jobs);
  }

  #showEmpty(jobs) {
    this.empty.hidden = jobs.length > 0;
    if (jobs.length || this.empty.dataset.for === this.group + this.prefix) return;
    this.empty.dataset.for = this.group + this.prefix;
    const all = this.group === "all" && !this.prefix;
    replace(this.empty, el("p", {}, all ? "There are no jobs yet." : "No job is like that."),
      all ? el("p", {class: "hint"}, "On a terminal, ", el("code", {}, "dashctl submit job.yaml"),
              " queues one.",
              maySubmit(this.context.who) ?
                [" Or ", el("a", {href: "#/submit"}, "paste a job file here"), "."] :
                null) :
            null);
  }

  #pick(id, on) {
    if (on)
      this.picked.add(id);
    else
      this.picked.delete(id);
    const ids = [...this.picked].slice(0, COMPARED_MOST);
    this.compare.hidden = ids.length < 2;
    this.compare.setAttribute("href", `#/compare/${ids.join(",")}`);
    setText(this.compare,
      this.picked.size > COMPARED_MOST ? `Compare the first ${COMPARED_MOST}` :
                                         `Compare ${ids.length} jobs`);
  }

  // j and k move between the jobs, / goes to the search.
  key(event) {
    const links = [...this.rows.values()].map((row) => row.link);
    const here = links.indexOf(document.activeElement);
    if (event.key === "/")
      this.search.focus();
    else if (event.key === "j")
      links[Math.min(links.length - 1, here + 1)]?.focus();
    else if (event.key === "k")
      links[Math.max(0, here < 0 ? 0 : here - 1)]?.focus();
    else
      return false;
    return true;
  }
}
