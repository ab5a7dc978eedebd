// web/directions.js - the directions of a job: a map of its matrices, and of a matrix that was
// chosen its whole spectrum, the directions in it, and how their coefficients grew.

import {Chart, ChartGroup} from "./chart.js";
import {SERIES} from "./colour.js";
import {el, facts, freshId, recall, remember, replace} from "./dom.js";
import {integer, number, percent, plural} from "./format.js";
import {DirectionMap} from "./map.js";
import {MEASURES} from "./modules.js";

const HEAD_PAIRS = 32;
const SKEWED = 10;  // the largest value over the middle one
const place = (i) => `singular pair ${integer(i - 1)}`;

export class Directions {
  // onChoose(name): another matrix is shown
  constructor(host, onChoose = () => {}) {
    this.onChoose = onChoose;
    this.measure = recall("measure") in MEASURES ? recall("measure") : "delta";
    this.log = recall("map-log");  // yes, no, or null: as the values are
    this.notes = el("div", {class: "notes"});
    this.summary = el("p", {class: "hint"});
    this.mapHost = el("section", {"aria-label": "map of the matrices"});
    this.detail = el("section", {class: "detail", "aria-label": "the chosen matrix"});
    host.append(this.#controls(), this.notes, this.summary,
      el("div", {class: "directions"}, this.mapHost, this.detail));
    this.map = new DirectionMap(this.mapHost, (m) => {
      this.chosen = m.name;
      this.#drawDetail();
      this.onChoose(m.name);
    });
    this.charts = [];
  }

  close() {
    this.map.close();
    this.#closeCharts();
  }

  #closeCharts() {
    for (const chart of this.charts) chart.close();
    this.charts = [];
  }

  #controls() {
    const select = freshId("measure");
    const log = freshId("map-log");
    this.hint = el("span", {class: "hint"}, MEASURES[this.measure].hint);
    this.logBox = el("input", {id: log, type: "checkbox", onchange: () => this.#chooseLog()});
    const choice = el("select", {id: select, onchange: () => this.#chooseMeasure(choice.value)});
    for (const [value, m] of Object.entries(MEASURES))
      choice.append(el("option", {value, selected: value === this.measure}, m.label));
    return el("div", {class: "controls"}, el("label", {"for": select}, "Colour by"), choice,
      el("label", {class: "check", "for": log}, this.logBox, "logarithmic"), this.hint);
  }

  #chooseMeasure(measure) {
    this.measure = measure;
    remember("measure", measure);
    this.draw();
  }

  #chooseLog() {
    this.log = this.logBox.checked ? "yes" : "no";
    remember("map-log", this.log);
    this.draw();
  }

  // As chosen; else where one matrix would leave a single colour to all others.
  #isLog() {
    const values = this.modules.map(MEASURES[this.measure].of).filter((x) => x > 0);
    const middle = values.sort((a, b) => a - b)[values.length >> 1];
    return this.log ? this.log === "yes" : values[values.length - 1] > SKEWED * middle;
  }

  // modules: of readModules(); missing: sentences about what is not there
  set(modules, missing, chosen) {
    Object.assign(this, {modules, missing});
    if (chosen) this.chosen = chosen;
    this.draw();
  }

  draw() {
    const {modules} = this;
    if (!modules) return;
    replace(this.notes, this.missing.map((text) => el("p", {class: "note"}, text)));
    this.mapHost.hidden = this.detail.hidden = !modules.length;
    replace(this.summary, this.#summary());
    this.hint.textContent = MEASURES[this.measure].hint;
    if (!modules.length) return;
    if (!modules.some((m) => m.name === this.chosen))
      this.chosen =
        modules.reduce((a, b) => (MEASURES.delta.of(b) > MEASURES.delta.of(a) ? b : a)).name;
    this.logBox.checked = this.#isLog();
    this.map.set(modules, this.measure, this.logBox.checked, this.chosen);
    this.#drawDetail();
  }

  #summary() {
    const all = this.modules.flatMap((m) => m.indices).sort((a, b) => a - b);
    if (!all.length) return "";
    const head = all.filter((i) => i < HEAD_PAIRS).length;
    return `${plural(this.modules.length, "matrix", "matrices")}, ` +
      `${plural(all.length, "direction")} chosen: ${percent(head / all.length, 0)} of them ` +
      `among the ${HEAD_PAIRS} largest singular values of their matrix, the middle one pair ` +
      `${integer(all[all.length >> 1])}.`;
  }

  #drawDetail() {
    const m = this.modules.find((one) => one.name === this.chosen);
    if (this.groupsOf !== this.chosen) this.groups = [new ChartGroup(), new ChartGroup()];
    this.groupsOf = this.chosen;
    this.#closeCharts();
    if (!m) return replace(this.detail);
    const s = m.spectrum;
    const charts = el("div", {class: "charts"});
    replace(this.detail, el("h2", {class: "module"}, m.name), facts([
      ["Shape", s ? `${s.rows} × ${s.columns}` : ""],
      ["Singular values", s ? integer(s.rank) : ""],
      ["Share of the update", s && Number.isFinite(s.share) ? percent(s.share, 2) : ""],
      ["‖ΔW‖ when chosen", s && Number.isFinite(s.update) ? number(s.update) : ""],
      ["Largest δ not chosen", Number.isFinite(m.nextDelta) ? number(m.nextDelta) : ""],
    ]),
      charts, this.#table(m));
    this.#spectra(charts, m);
    this.#growth(charts, m);
  }

  // The spectrum with the chosen directions in it: one chart for sigma, one for delta.
  #spectra(host, m) {
    const [group] = this.groups;
    const chosen = m.indices.map((i, at) => at).sort((a, b) => m.indices[a] - m.indices[b]);
    const points = (values) =>
      ({x: chosen.map((at) => m.indices[at] + 1), y: chosen.map((at) => values[at])});
    const whole = (values) => (m.spectrum ?
        [{name: "all", slot: 7, x: m.spectrum.points.map((i) => i + 1), y: values.map(Number)}] :
        []);
    const draw = (title, unit, values, all) => {
      const chart = new Chart(host, {title, unit, group, height: 210, xFormat: place});
      chart.set({
        xLabel: "singular pair, from the largest σ",
        yLog: true,
        series: [
          ...whole(all), {name: "chosen", slot: 1, style: "points", radius: 4, ...points(values)}
        ],
      });
      this.charts.push(chart);
    };
    draw("σ", "singular value", m.sigma, m.spectrum?.sigma || []);
    draw("δ", "when the directions were chosen", m.delta, m.spectrum?.delta || []);
  }

  #growth(host, m) {
    const chart = new Chart(host,
      {title: "Coefficients", unit: "c of each direction", height: 210, group: this.groups[1]});
    const g = m.growth;
    chart.set({
      xLabel: "step",
      whole: true,
      nothing: "no history of coefficients",
      series: g ? m.indices.map((index, at) => ({
        name: `pair ${index}`,
        slot: at % SERIES,
        x: g.step,
        y: g.c.map((row) => Number(row[at])),
      })) :
                  [],
    });
    this.charts.push(chart);
  }

  #table(m) {
    const row = (at) => el("tr", {}, el("td", {}, el("i", {class: `swatch fill-${at % SERIES}`})),
      ...[integer(m.indices[at]), number(m.sigma[at], 5), number(m.delta[at], 5),
        number(m.coefficient[at], 5)]
        .map((text) => el("td", {class: "number"}, text)));
    return el("div", {
      class: "scroll",
      tabindex: "0",
      role: "region",
      "aria-label": `the directions of ${m.name}`
    },
      el("table", {class: "plain"},
        el("thead", {}, el("tr", {}, el("td", {}), ["pair", "σ", "δ",
          "coefficient"].map((t) => el("th", {scope: "col", class: "number"}, t)))),
        el("tbody", {}, m.indices.map((_, at) => row(at)))));
  }
}
