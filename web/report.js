// web/report.js - report.html and the page that `dashctl compare --html` writes: the plots of the
// page, from data that stands in the file itself.
//
//   {"jobs": [{name, state, facts: [[name, value]...], yaml, steps: {columns}, results, missing:
//   [...],
//    launches, directions, spectra, coefficients: {step, c}}...], "last": ms, "version": ...}

import {compareCurves, compareTable} from "./compare.js";
import {Curves} from "./curves.js";
import {Directions} from "./directions.js";
import {el, facts} from "./dom.js";
import {time} from "./format.js";
import {missingSentences, readModules} from "./modules.js";
import {Steps} from "./steps.js";

function section(main, title) {
  const part = el("section", {}, el("h2", {}, title));
  main.append(part);
  return part;
}

function showJob(main, job) {
  main.append(el("h1", {}, job.name), facts(job.facts),
    ...job.missing.map((text) => el("p", {class: "note"}, text)));
  new Curves(section(main, "Curves"),
    [{name: job.name, slot: 0, steps: Steps.fromColumns(job.steps), launches: job.launches}]);
  const phase = job.steps.phase[job.steps.phase.length - 1];
  const view = new Directions(section(main, "Directions"));
  view.set(
    readModules(job.directions, job.spectra, job.coefficients), missingSentences(job, phase));
  section(main, "Job file")
    .append(el("pre", {class: "file", tabindex: "0", "aria-label": "job file"}, job.yaml));
}

function showComparison(main, jobs) {
  main.append(el("h1", {}, `${jobs.length} jobs compared`));
  const shown = jobs.map((job, slot) => ({...job, slot, steps: Steps.fromColumns(job.steps)}));
  compareCurves(section(main, "Curves"), shown);
  section(main, "Table").append(compareTable(shown));
}

function showReport() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const main = document.getElementById("main");
  if (data.jobs.length === 1)
    showJob(main, data.jobs[0]);
  else
    showComparison(main, data.jobs);
  const last = data.last ? ` The last step was taken at ${time(data.last)}.` : "";
  main.append(el("p", {class: "hint"}, `Written by dash ${data.version}.${last}`));
}

showReport();
