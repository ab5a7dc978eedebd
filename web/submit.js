// web/submit.js - a job file, checked as it is typed: dashd answers what is wrong with it, by key
// and by line.

import {el, freshId, recall, remember, replace, setText} from "./dom.js";
import {integer, plural} from "./format.js";
import {labelsOf} from "./labels.js";
import {call, RpcError} from "./rpc.js";
import {lineOf} from "./settings.js";

const PAUSE_MS = 600;
const LINE_PIXELS = 20;  // as in app.css
const FILE = "job.yaml";
const EXAMPLE = `name: my-job
model: models/smollm2.gguf           # a folder or a .gguf file
data: {train: train.jsonl}
method: lora-dash                    # or lora
lora: {rank: 16, alpha: 32}
dash: {prelaunch_steps: 100, directions: 8}
training: {batch_size: 16, steps: 300, learning_rate: 2e-4}
output: runs/my-job
`;

// [{line, field, text}]. The message has "file:line: text" for each problem; the violations have
// their keys. A line that neither names is looked for by the key.
function problemsOf(error, text) {
  const lines = error.message.split("\n").map((line) => {
    const found = /^[^:\n]*:(\d+): (.*)$/.exec(line);
    return {line: found ? Number(found[1]) : 0, text: found ? found[2] : line};
  });
  if (!error.violations.length)
    return lines.filter((l) => l.text.trim()).map((l) => ({...l, field: ""}));
  return error.violations.map(({field = "", description = ""}) => {
    const said = lines.find((l) => l.line && description.endsWith(l.text));
    return {field, text: said ? said.text : description, line: said?.line || lineOf(text, field)};
  });
}

export class SubmitView {
  constructor(context, from) {
    this.context = context;
    this.problems = [];
    this.#build();
    if (from)
      this.#load(from);
    else
      this.#check();
    context.onState("ended");
  }

  close() {
    clearTimeout(this.timer);
    this.checking?.abort();
  }

  #build() {
    const ids = Object.fromEntries(
      ["text", "folder", "priority", "labels", "problems"].map((k) => [k, freshId(k)]));
    this.gutter = el("div", {class: "gutter", "aria-hidden": "true"});
    this.text = el("textarea", {
      id: ids.text,
      spellcheck: "false",
      autocapitalize: "off",
      rows: "20",
      wrap: "off",
      "aria-describedby": ids.problems,
      oninput: () => this.#changed(),
      onscroll: () => {
        this.gutter.scrollTop = this.text.scrollTop;
      },
    });
    this.text.value = EXAMPLE;
    this.folder = el("input", {
      id: ids.folder,
      required: true,
      value: recall("folder") || "/",
      spellcheck: "false",
      oninput: () => this.#changed()
    });
    this.priority =
      el("input", {id: ids.priority, type: "number", min: "-1000", max: "1000", value: "0"});
    this.labels = el("input", {id: ids.labels, spellcheck: "false", placeholder: "team=search"});
    this.verdict = el("p", {class: "verdict", role: "status"});
    this.list = el("ul", {class: "problems", id: ids.problems});
    this.send = el("button", {type: "submit", class: "primary", disabled: true}, "Submit");
    replace(this.context.main, el("h1", {}, "New job"),
      el("form", {class: "submit", onsubmit: (e) => this.#submit(e)},
        el("div", {class: "fields"},
          el("label", {"for": ids.folder},
            "Folder on dashd's machine that relative paths start from"),
          this.folder, el("label", {"for": ids.priority}, "Priority"), this.priority,
          el("label", {"for": ids.labels}, "Labels"), this.labels),
        el("label", {"for": ids.text}, "Job file"),
        el("div", {class: "editor"}, this.gutter, this.text),
        el("div", {class: "checked"}, this.verdict, this.list,
          el("div", {class: "buttons"}, this.send))));
    this.#drawGutter();
  }

  async #load(id) {
    try {
      const {job} = await call("GetJob", {id});
      this.text.value = job.jobYaml || "";
      setText(this.verdict, "");
    } catch (error) {
      setText(this.verdict, error.message);
    }
    this.#changed();
  }

  #changed() {
    this.#drawGutter();
    this.send.disabled = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#check(), PAUSE_MS);
  }

  #request() {
    return {
      jobYaml: this.text.value,
      directory: this.folder.value.trim(),
      fileName: FILE,
      priority: Number(this.priority.value) || 0,
      labels: labelsOf(this.labels.value),
    };
  }

  async #check() {
    this.checking?.abort();
    const own = new AbortController();
    this.checking = own;
    remember("folder", this.folder.value.trim());
    setText(this.verdict, "checking …");
    try {
      const {job} = await call("CreateJob", {...this.#request(), validateOnly: true}, own.signal);
      if (!own.signal.aborted) this.#show([], job);
    } catch (error) {
      if (own.signal.aborted) return;
      if (!(error instanceof RpcError)) throw error;
      this.#show(problemsOf(error, this.text.value), null);
    }
  }

  #show(problems, job) {
    this.problems = problems;
    this.send.disabled = !job;
    this.verdict.className = `verdict ${job ? "good" : "bad"}`;
    setText(this.verdict,
      job ? `Nothing is wrong: ${integer(job.stepsTotal)} steps, output ${job.output}` :
            `${plural(problems.length, "problem")}:`);
    replace(this.list,
      problems.map(
        (p) => el("li", {},
          p.line ?
            el("button", {type: "button", class: "small", onclick: () => this.#goTo(p.line)},
              `line ${p.line}`) :
            null,
          p.field ? el("code", {}, p.field) : null, " ", p.text)));
    this.#drawGutter();
  }

  #drawGutter() {
    const bad = new Set(this.problems.map((p) => p.line));
    const n = this.text.value.split("\n").length;
    replace(this.gutter,
      Array.from({length: n}, (_, i) => el("div", {class: bad.has(i + 1) ? "bad" : null}, i + 1)));
    this.gutter.scrollTop = this.text.scrollTop;
  }

  #goTo(line) {
    const lines = this.text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, l) => sum + l.length + 1, 0);
    this.text.focus();
    this.text.setSelectionRange(start, start + (lines[line - 1] || "").length);
    this.text.scrollTop = Math.max(0, (line - 5) * LINE_PIXELS);
  }

  async #submit(event) {
    event.preventDefault();
    this.send.disabled = true;
    try {
      const request = {...this.#request(), requestId: this.#requestId()};
      const {job} = await call("CreateJob", request);
      this.context.go(`#/job/${job.id}`);
    } catch (error) {
      this.#show(problemsOf(error, this.text.value), null);
    }
  }

  // A press that is sent twice makes one job.
  #requestId() {
    const text = JSON.stringify(this.#request());
    if (this.requestFor !== text) {
      this.requestFor = text;
      this.requestName = `page-${
          [...crypto.getRandomValues(new Uint8Array(12))]
            .map((b) => b.toString(16).padStart(2, "0"))
            .join("")}`;
    }
    return this.requestName;
  }

  key() { return false; }
}
