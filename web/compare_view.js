// web/compare_view.js - the page that compares jobs. Their steps are read one job after another,
// so that a browser's few connections suffice, and asked for again while a job runs.

import {compareCurves, compareTable, resultsOf} from "./compare.js";
import {el, replace, setText} from "./dom.js";
import {Asked} from "./live.js";
import {call, RpcError, stream} from "./rpc.js";
import {isFinal} from "./states.js";
import {Steps} from "./steps.js";

const EVERY_MS = 5000;
const QUIET_MS = 700;  // a stream that is silent for this long has sent all past messages

export class CompareView {
  constructor(context, ids) {
    this.context = context;
    this.jobs = ids.map((id, slot) => ({
      id,
      slot,
      name: `job ${id}`,
      href: `#/job/${id}`,
      steps: new Steps(),
      yaml: "",
      state: ""
    }));
    this.failure = el("p", {class: "error", role: "alert"});
    this.table = el("div", {});
    const curves = el("div", {});
    replace(
      context.main, el("h1", {}, `Compare ${ids.length} jobs`), this.failure, curves, this.table);
    this.curves = compareCurves(curves, this.jobs);
    this.asked = new Asked((signal) => this.#ask(signal), EVERY_MS, (kind, text) => {
      if (kind === "failed") setText(this.failure, text.message);
      context.onState(kind, text);
    }).start();
  }

  close() {
    this.asked.stop();
    this.curves.close();
  }

  async #ask(signal) {
    for (const one of this.jobs) {
      if (one.complete) continue;
      const {job} = await call("GetJob", {id: one.id}, signal);
      Object.assign(
        one, {name: `${job.id} ${job.name || ""}`.trim(), yaml: job.jobYaml, state: job.state});
      await this.#readSteps(one, signal);
      one.complete = isFinal(job);
      this.#draw();
    }
    if (this.jobs.every((one) => one.complete)) this.asked.every = 0;
  }

  async #readSteps(one, signal) {
    const own = new AbortController();
    const stop = () => own.abort();
    let timer = 0;
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(stop, QUIET_MS);
    };
    signal.addEventListener("abort", stop);
    try {
      await stream("WatchJob", {id: one.id, fromStep: one.steps.last + 1}, {
        signal: own.signal,
        onOpen: later,
        onMessage: (m) => {
          later();
          if (m.step) one.steps.push(m.step);
        },
      });
    } catch (error) {
      if (signal.aborted || (error instanceof RpcError && !own.signal.aborted)) throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }

  #draw() {
    this.curves.draw();
    replace(
      this.table, compareTable(this.jobs.map((one) => ({...one, results: resultsOf(one.steps)}))));
  }

  key() { return false; }
}
