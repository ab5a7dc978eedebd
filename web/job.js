// web/job.js - the page of a job. One stream brings the job, its steps and its events; what it
// brings is gathered and drawn at most a few times a second.

import {actionButtons} from "./actions.js";
import {Curves} from "./curves.js";
import {fetchDirections} from "./directions_files.js";
import {Directions} from "./directions.js";
import {el, replace, setText} from "./dom.js";
import {JobHead} from "./job_head.js";
import {readLaunches} from "./launches.js";
import {Asked, Followed} from "./live.js";
import {eventRows, eventTable, LogPanel, showFile, showFiles} from "./panels.js";
import {call, fileText, RpcError} from "./rpc.js";
import {isFinal} from "./states.js";
import {Steps} from "./steps.js";
import {Tabs} from "./tabs.js";

const DRAW_MS = 250;
const DIRECTIONS_MS = 20000;
const SOON_MS = 200;       // while the stream has not brought the job yet
const SPEED_WEIGHT = 0.1;  // of the newest step, in the mean that dashctl shows, too
const TABS = [
  ["curves", "Curves"], ["directions", "Directions"], ["log", "Log"], ["events", "Events"],
  ["file", "Job file"], ["files", "Files"]
];

// The job that came first holds the past; each step updates it until the next one comes.
function applyStep(job, step) {
  if (!job || Number(step.step) < (job.stepsDone || 0)) return;
  const speed = step.seconds > 0 ? Number(step.tokens || 0) / step.seconds : 0;
  const before = job.tokensPerSecond || 0;
  if (Number(step.step) > (job.stepsDone || 0)) {
    job.tokens = Number(job.tokens || 0) + Number(step.tokens || 0);
    job.trainedTokens = Number(job.trainedTokens || 0) + Number(step.trainedTokens || 0);
  }
  job.lastStep = step;
  job.stepsDone = Number(step.step);
  job.phase = step.phase;
  job.tokensPerSecond = before > 0 ? before + SPEED_WEIGHT * (speed - before) : speed;
  if (job.tokensPerSecond > 0)
    job.etaSeconds =
      (Math.max(0, (job.stepsTotal || 0) - job.stepsDone) * Number(step.tokens || 0)) /
      job.tokensPerSecond;
}

export class JobView {
  constructor(context, id, tab, module) {
    Object.assign(this, {context, id, module});
    this.steps = new Steps();
    this.launches = [];
    this.events = [];
    this.lastEvent = "0";
    this.#build(tab);
    this.followed = new Followed("WatchJob", () => ({
      id: this.id,
      fromStep: this.steps.last + 1,
      events: true,
      afterEvent: this.lastEvent,
    }),
      (m) => this.#take(m),
      (kind, text) => this.#state(
        kind, text)).start();
    this.clock = setInterval(() => this.#changed(), 1000);
  }

  close() {
    this.followed.stop();
    clearInterval(this.clock);
    clearTimeout(this.drawing);
    this.#closePanel();
  }

  #build(tab) {
    const {main} = this.context;
    replace(main);
    this.head = new JobHead(main);
    this.failure = el("p", {class: "error", role: "alert"});
    main.append(this.failure);
    this.tabs = new Tabs(main, "Parts of the job", TABS.map(([key, title]) => ({key, title})),
      (key, panel) => this.#show(key, panel));
    this.tabs.show(tab || "curves");
  }

  #state(kind, text) {
    if (kind === "failed") setText(this.failure, text.message);
    this.context.onState(kind, text);
  }

  #take(message) {
    if (message.job) {
      const {state: before, restarts} = this.job || {};
      this.job = {...message.job};
      this.id = message.job.id;
      if (before !== this.job.state) this.#learnTail();
      if (before !== this.job.state || restarts !== this.job.restarts) this.#learnFiles();
    } else if (message.step) {
      this.steps.push(message.step);
      applyStep(this.job, message.step);
    } else if (message.happened) {
      this.events.push(message.happened);
      this.lastEvent = message.happened.id;
    }
    this.fresh = true;
    this.#changed();
  }

  async #learnTail() {
    if (this.job.state !== "FAILED") return;
    try {
      this.logTail = (await call("GetJob", {id: this.id})).job.logTail;
      this.#changed();
    } catch {
      this.logTail = "";  // the stream reports what is wrong with dashd
    }
  }

  // Of what a launch or the end of the job has left.
  async #learnFiles() {
    try {
      const {files = []} = await call("ListFiles", {id: this.id});
      const has = (name) => files.some((file) => file.path === name);
      const text = has("launches.jsonl") ? await fileText(this.id, "launches.jsonl") : null;
      this.launches.splice(0, this.launches.length, ...readLaunches(text || ""));
      this.head.offerReport(this.job, has("report.html"));
      this.fresh = true;
      this.#changed();
    } catch (error) {
      if (!(error instanceof RpcError))
        throw error;  // the stream reports what is wrong with dashd
    }
  }

  #changed() {
    if (this.drawing) return;
    this.drawing = setTimeout(() => {
      this.drawing = 0;
      this.#draw();
    }, DRAW_MS);
  }

  #draw() {
    if (!this.job) return;
    document.title = `${this.job.name || this.id}: ${String(this.job.state).toLowerCase()} - dash`;
    this.head.update(this.job, this.logTail);
    const actions = `${this.job.state} ${this.job.createdBy}`;
    if (this.actions !== actions) {
      this.actions = actions;
      replace(this.head.actions,
        actionButtons(this.job, this.context.who, (m, r) => this.#act(m, r),
          () => this.context.go("#/"), (error) => setText(this.failure, error.message)));
    }
    if (!this.fresh) return;
    this.fresh = false;
    this.curves?.draw();
    if (this.eventBody && this.eventsShown !== this.events.length) {
      this.eventsShown = this.events.length;
      replace(this.eventBody, eventRows(this.events));
    }
  }

  async #act(method, request) {
    const answer = await call(method, request);
    if (answer.job) {
      this.job = {...this.job, ...answer.job};
      if (this.followed.over) this.#again();
      this.#changed();
    }
  }

  // A job that had ended continues after it was resumed: its stream is opened again.
  #again() {
    this.followed.stop();
    this.followed = new Followed(
      "WatchJob", this.followed.request, this.followed.onMessage, this.followed.onState)
                      .start();
  }

  // ---- the part that is shown ----

  #closePanel() {
    this.curves?.close();
    this.directions?.close();
    this.log?.close();
    this.asked?.stop();
    this.curves = this.directions = this.log = this.asked = this.eventBody = null;
  }

  #show(key, panel) {
    this.#closePanel();
    replace(panel);
    this.context.note(`#/job/${this.id}/${key}${
      key === "directions" && this.module ? `/${encodeURIComponent(this.module)}` : ""}`);
    const failed = (error) => replace(panel, el("p", {class: "error"}, error.message));
    if (key === "curves")
      this.curves =
        new Curves(panel, [{name: this.id, slot: 0, steps: this.steps, launches: this.launches}]);
    else if (key === "directions")
      this.#showDirections(panel);
    else if (key === "log")
      this.log = new LogPanel(panel, this.id, () => {});
    else if (key === "file")
      call("GetJob", {id: this.id}).then((a) => showFile(panel, a.job.jobYaml)).catch(failed);
    else if (key === "files")
      showFiles(panel, this.id).catch(failed);
    else
      this.#showEvents(panel);
  }

  #showEvents(panel) {
    const {table, body} = eventTable();
    panel.append(table);
    this.eventBody = body;
    this.eventsShown = -1;
    this.fresh = true;
    this.#changed();
  }

  #showDirections(panel) {
    this.directions = new Directions(panel, (name) => {
      this.module = name;
      this.context.note(`#/job/${this.id}/directions/${encodeURIComponent(name)}`);
    });
    const view = this.directions;
    this.asked = new Asked(
      async (signal) => {
        if (!this.job) return;
        const phase = this.steps.phase[this.steps.length - 1];
        const {modules, missing} = await fetchDirections(this.id, phase, signal);
        view.set(modules, missing, this.module);
        this.asked.every = isFinal(this.job) ? 0 : DIRECTIONS_MS;
      },
      SOON_MS,
      (kind, text) => {
        if (kind === "failed") setText(this.failure, text.message);
      }).start();
  }

  key(event) {
    const at = Number(event.key);
    if (!(at >= 1 && at <= TABS.length)) return false;
    this.tabs.show(TABS[at - 1][0]);
    return true;
  }
}
