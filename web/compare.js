// web/compare.js - jobs side by side: the settings that differ, what came out, and the curves over
// one another.

import {Curves} from "./curves.js";
import {el} from "./dom.js";
import {duration, fixed, integer} from "./format.js";
import {differences} from "./settings.js";

const LAST = 10;  // steps in the mean of the loss, as in dashctl compare

// What came out, of steps that are all there.
export function resultsOf(steps) {
  const n = steps.length;
  const last = steps.loss.slice(-LAST);
  const evaluated =
    steps.evalLoss.map((y, i) => ({y, step: steps.step[i]})).filter((e) => e.y > 0);
  const best = evaluated.reduce((a, b) => (a && a.y <= b.y ? a : b), null);
  const seconds = n ? steps.totalSeconds[n - 1] : 0;
  return {
    steps: steps.last,
    loss: n ? steps.loss[n - 1] : NaN,
    meanLoss: n ? last.reduce((a, b) => a + b, 0) / last.length : NaN,
    evalLoss: evaluated.length ? evaluated[evaluated.length - 1].y : NaN,
    bestEvalLoss: best ? best.y : NaN,
    bestStep: best?.step,
    seconds,
    tokensPerSecond: seconds > 0 ? steps.totalTokens[n - 1] / seconds : NaN,
  };
}

const RESULTS = [
  ["steps", (r) => integer(r.steps)],
  ["loss of the last step", (r) => fixed(r.loss)],
  [`mean loss of the last ${LAST} steps`, (r) => fixed(r.meanLoss)],
  ["evaluation loss, last", (r) => fixed(r.evalLoss)],
  [
    "evaluation loss, best",
    (r) => (r.bestStep ? `${fixed(r.bestEvalLoss)} at step ${r.bestStep}` : "–")
  ],
  ["time of the steps", (r) => duration(r.seconds)],
  ["tokens/s", (r) => integer(r.tokensPerSecond)],
];

function rowOf(title, values) {
  const differ = values.some((v) => v !== values[0]);
  return el("tr", {class: differ ? null : "same"}, el("th", {scope: "row"}, title),
    values.map((v) => el("td", {}, v === "" ? "–" : v)));
}

function group(title, columns) {
  return el("tr", {class: "group"}, el("th", {scope: "rowgroup", colspan: columns + 1}, title));
}

// jobs: [{name, href or none, slot, state, yaml, results}]
export function compareTable(jobs) {
  const settings = differences(jobs.map((job) => job.yaml));
  const skipped = new Set(["name", "output"]);
  const shown = settings.filter(([key]) => !skipped.has(key));
  return el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "comparison"},
    el("table", {class: "plain compare"},
      el("thead", {},
        el("tr", {}, el("td", {}),
          jobs.map((job) => el("th", {scope: "col"}, el("i", {class: `swatch fill-${job.slot}`}),
                     job.href ? el("a", {href: job.href}, job.name) : job.name)))),
      el("tbody", {}, group("Results", jobs.length),
        rowOf("state", jobs.map((job) => job.state || "")),
        RESULTS.map(([title, of]) => rowOf(title, jobs.map((job) => of(job.results)))),
        group(shown.length ? "Settings that differ" : "No setting differs but name and output",
          jobs.length),
        shown.map(([key, values]) => rowOf(key, values)))));
}

export function compareCurves(host, jobs) { return new Curves(host, jobs); }
