// web/curves.js - the curves of one job, or of several over one another: loss and evaluation,
// learning rate, gradient norm and tokens/s, above them what is shown and how.

import {Chart, ChartGroup} from "./chart.js";
import {el, freshId, recall, remember, replace} from "./dom.js";
import {fixed, integer} from "./format.js";
import {interruptions} from "./launches.js";
import {ABSCISSAE, measured, smooth, speeds} from "./steps.js";

const CHARTS = [
  {
    key: "loss",
    title: "Loss",
    unit: "nats per trained token",
    height: 280,
    yFormat: (y) => fixed(y, 4),
    of: (s) => s.loss,
    log: true
  },
  {key: "grad", title: "Gradient norm", unit: "before clipping", of: (s) => s.gradNorm, log: true},
  {key: "rate", title: "Learning rate", unit: "", of: (s) => s.learningRate, sharp: true},
  {key: "speed", title: "Speed", unit: "tokens/s", yFormat: integer, of: speeds},
];

const SHARE = 0.2;  // of all steps, that the strongest smoothing looks back on

// Of the slider's position, finer towards its beginning: a curve looks equally smooth whether it
// has a hundred steps or a million.
function weightOf(position, steps) { return 1 - 1 / (1 + SHARE * steps * position ** 2); }

export class Curves {
  // jobs: [{name, slot, steps, launches}]; what is added to them is drawn by draw(). Launches may
  // be missing, and are marked for a single job alone.
  constructor(host, jobs) {
    this.jobs = jobs;
    this.axis = recall("axis") in ABSCISSAE ? recall("axis") : "step";
    this.position = Math.min(1, Math.max(0, Number(recall("smoothing") ?? 0.35) || 0));
    this.logLoss = recall("log-loss") === "yes";
    this.group = new ChartGroup();
    this.legend = el("ul", {class: "legend"});
    this.grid = el("div", {class: "charts"});
    host.append(this.#controls(), this.legend, this.grid);
    this.charts = CHARTS.map((c) => new Chart(this.grid, {...c, group: this.group}));
    this.draw();
  }

  close() {
    for (const chart of this.charts) chart.close();
  }

  #controls() {
    const slider = freshId("smoothing");
    const axis = freshId("axis");
    const log = freshId("log");
    return el("div", {class: "controls"}, el("label", {"for": slider}, "Smoothing"), el("input", {
      id: slider,
      type: "range",
      min: "0",
      max: "1",
      step: "0.05",
      value: this.position,
      oninput: (e) => this.#set("position", Number(e.target.value), "smoothing"),
    }),
      el("label", {"for": axis}, "Over"),
      el("select", {id: axis, onchange: (e) => this.#chooseAxis(e.target.value)},
        Object.entries(ABSCISSAE).map(
          ([value, a]) => el("option", {value, selected: value === this.axis}, a.label))),
      el("label", {class: "check", "for": log}, el("input", {
        id: log,
        type: "checkbox",
        checked: this.logLoss,
        onchange: (e) =>
          this.#set("logLoss", e.target.checked, "log-loss", e.target.checked ? "yes" : "no"),
      }),
        "logarithmic loss and gradient"),
      el("span", {class: "hint"}, "drag to zoom, double click for all"));
  }

  #set(name, value, key, kept = value) {
    this[name] = value;
    remember(key, kept);
    this.draw();
  }

  #chooseAxis(value) {
    this.group.domain = null;
    this.group.cursor = null;
    this.#set("axis", value, "axis");
  }

  #legend() {
    const single = this.jobs.length === 1;
    const evaluated = this.jobs.some((job) => job.steps.evalLoss.some((y) => y > 0));
    const items = this.jobs.length > 1 ?
      this.jobs.map((job) => el("li", {}, el("i", {class: `swatch fill-${job.slot}`}), job.name)) :
      [];
    if (evaluated)
      items.push(
        el("li", {}, el("i", {class: `swatch dot${single ? " fill-1" : ""}`}), "evaluation loss"));
    if (this.interruptions.length)
      items.push(el("li", {}, el("i", {class: "swatch bar"}), "continued by another launch"));
    replace(this.legend, items);
    this.legend.hidden = !items.length;
  }

  #series(chart, axis) {
    const most = Math.max(...this.jobs.map((job) => job.steps.last));
    const weight = chart.sharp ? 0 : weightOf(this.position, most);
    return this.jobs.flatMap(
      (job) => [...this.#line(chart, job, axis.of(job.steps), weight),
        ...(chart.key === "loss" ? this.#evaluation(job, axis.of(job.steps)) : []),
    ]);
  }

  // What was measured, faint below the smoothed line.
  #line(chart, job, x, weight) {
    const {slot, steps} = job;
    const y = chart.of(steps);
    const name = this.jobs.length === 1 ? chart.title.toLowerCase() : job.name;
    if (weight === 0) return [{name, slot, x, y}];
    const smoothed = chart.key === "loss" ? steps.smoothLoss(weight) : smooth(y, weight);
    const smoothedName = this.jobs.length === 1 ? `${name}, smoothed` : name;
    return [{name, slot, x, y, faint: true}, {name: smoothedName, slot, x, y: smoothed}];
  }

  #evaluation(job, x) {
    const points = measured(x, job.steps.evalLoss);
    const single = this.jobs.length === 1;
    const slot = single ? 1 : job.slot;
    const name = single ? "evaluation" : `${job.name}, evaluation`;
    if (!points.x.length) return [];
    return [
      {name, slot, silent: true, faint: true, ...points},
      {name, slot, style: "points", ...points},
    ];
  }

  #marks(axis, labelled) { return [...this.#boundaries(axis, labelled), ...this.#restarts(axis)]; }

  // At the last step before; a report may have left it out, and has one near it.
  #restarts(axis) {
    const {steps} = this.jobs[0];
    const x = axis.of(steps);
    return this.interruptions.map(({step, words}) => {
      const next = steps.step.findIndex((n) => n > step);
      return {x: x[next < 0 ? steps.length - 1 : Math.max(0, next - 1)], words};
    });
  }

  #boundaries(axis, labelled) {
    return this.jobs.filter((job) => job.steps.boundary > 0).map((job) => ({
      x: axis.of(job.steps)[job.steps.boundary - 1],
      label: labelled && this.jobs.length === 1 ? "directions chosen" : "",
      slot: this.jobs.length === 1 ? undefined : job.slot,
    }));
  }

  draw() {
    const axis = ABSCISSAE[this.axis];
    const [first] = this.jobs;
    this.interruptions =
      this.jobs.length === 1 && first.steps.length ? interruptions(first.launches || []) : [];
    this.#legend();
    CHARTS.forEach((chart, i) => this.charts[i].set({
      series: this.#series(chart, axis),
      marks: this.#marks(axis, chart.key === "loss"),
      xLabel: axis.label,
      time: axis.time,
      whole: !axis.time,
      yLog: Boolean(chart.log && this.logLoss),
    }));
  }
}
