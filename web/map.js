// web/map.js - the map of layers and matrices. A wide page has layers from left to right, a narrow
// one from top to bottom. It is a grid for the keyboard, too: one cell takes the focus, arrows
// move it.

import {rampColour} from "./colour.js";
import {el, replace, svg} from "./dom.js";
import {number} from "./format.js";
import {layersAndKinds, MEASURES} from "./modules.js";
import {scale, ticks} from "./scale.js";

const NARROW = 560;
const CELL_MOST = 34;
const HEAD = 26;

function domainOf(values, log) {
  const shown = values.filter((x) => Number.isFinite(x) && (!log || x > 0));
  if (!shown.length) return [log ? 0.1 : 0, 1];
  const least = Math.min(...shown);
  const most = Math.max(...shown);
  if (!log) return [0, most || 1];
  return least < most ? [least, most] : [least / 2, most * 2];
}

export class DirectionMap {
  // onChoose(module): a cell was clicked, or chosen by Enter
  constructor(host, onChoose) {
    this.onChoose = onChoose;
    this.svg = svg("svg", {role: "grid", class: "map"});
    this.legend = svg("svg", {class: "ramp", role: "img", height: 44, width: 260});
    this.readout = el("p", {class: "map-readout"}, "\u00a0");
    this.box = el("div", {class: "map-box"}, this.svg);
    host.append(this.box, el("div", {class: "map-foot"}, this.legend, this.readout));
    this.svg.addEventListener("keydown", (e) => this.#key(e));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.box);
  }

  close() { this.observer.disconnect(); }

  set(modules, measure, log, chosen) {
    Object.assign(this, {modules, measure: MEASURES[measure], log, chosen});
    this.draw();
  }

  draw() {
    if (!this.modules?.length || !this.box.clientWidth) return;
    const {layers, kinds} = layersAndKinds(this.modules);
    this.down = this.box.clientWidth < NARROW;
    this.across = this.down ? kinds : layers;
    this.along = this.down ? layers : kinds;
    const values = this.modules.map((m) => this.measure.of(m));
    const domain = domainOf(values, this.log);
    this.colours = scale(domain[0], domain[1], 0, 1, this.log);
    this.cells = this.along.map((a) => this.across.map((b) => {
      const layer = this.down ? a : b;
      const kind = this.down ? b : a;
      return this.modules.find((m) => m.layer === layer && m.kind === kind) || null;
    }));
    this.#drawCells();
    this.#drawLegend();
  }

  #text(x) { return this.measure.percent ? `${number(100 * x, 3)} %` : number(x, 3); }

  #name(value, isLayer) {
    return isLayer ? (value < 0 ? "–" : String(value)) :
                     value.split(".").pop().replace(/_proj$/, "");
  }

  #drawCells() {
    const names = this.along.map((a) => this.#name(a, this.down));
    const side = 14 + 7 * Math.max("layer".length, ...names.map((n) => n.length));
    const room = (this.box.clientWidth - side - 4) / this.across.length;
    const w = Math.max(9, Math.min(this.down ? 64 : CELL_MOST, room));
    const h = this.down ? 24 : Math.max(22, Math.min(CELL_MOST, w));
    const every = Math.ceil(22 / w);
    const heads = this.across.map((b, i) => (i % every === 0 || this.down) &&
        svg("text", {
          class: "tick",
          x: side + (i + 0.5) * w,
          y: HEAD - 8,
          "text-anchor": "middle",
        },
          this.#name(b, !this.down)));
    const rows = this.cells.map(
      (row, at) => svg("g", {role: "row", "aria-label": names[at]},
        svg("text", {
          class: "tick",
          x: side - 7,
          y: HEAD + (at + 0.5) * h + 4,
          "text-anchor": "end",
          role: "rowheader"
        },
          names[at]),
        row.map((m, i) => this.#cell(m, at, i, {x: side + i * w, y: HEAD + at * h, w, h}))));
    const corner =
      svg("text", {class: "tick", x: side - 7, y: HEAD - 8, "text-anchor": "end"}, "layer");
    const focus = this.svg.contains(document.activeElement) && this.focus;
    replace(this.svg, svg("g", {"aria-hidden": "true"}, heads, corner), rows);
    this.svg.setAttribute("width", side + w * this.across.length + 2);
    this.svg.setAttribute("height", HEAD + h * this.along.length + 2);
    this.svg.setAttribute(
      "aria-label", `${this.measure.label} of each matrix; arrow keys move, Enter chooses`);
    const first = focus ? this.#at(...focus) : null;
    const chosen = this.svg.querySelector("[aria-selected=true]");
    (first || chosen || this.svg.querySelector("[role=gridcell]"))?.setAttribute("tabindex", "0");
    if (first) first.focus();
  }

  #cell(m, row, column, box) {
    if (!m)
      return svg("rect",
        {class: "cell none", x: box.x + 0.5, y: box.y + 0.5, width: box.w - 1, height: box.h - 1});
    const value = this.measure.of(m);
    const known = Number.isFinite(value) && !(this.log && value <= 0);
    const text = `${m.name}: ${this.measure.label} ${
      Number.isFinite(value) ? this.#text(value) : "not known"}`;
    return svg("rect", {
      class: `cell${known ? "" : " unknown"}`,
      role: "gridcell",
      tabindex: "-1",
      "aria-label": text,
      "aria-selected": m.name === this.chosen ? "true" : "false",
      "data-at": `${row},${column}`,
      "data-module": m.name,
      x: box.x + 0.5,
      y: box.y + 0.5,
      width: box.w - 1,
      height: box.h - 1,
      rx: 2,
      fill: known ? rampColour(this.colours(value)) : null,
      onclick: () => this.#choose(m),
      onfocus: (e) => this.#focused(e.target, row, column, text),
      onpointerenter: () => {
        this.readout.textContent = text;
      },
    });
  }

  #at(row, column) { return this.svg.querySelector(`[data-at="${row},${column}"]`); }

  #focused(cell, row, column, text) {
    for (const other of this.svg.querySelectorAll("[tabindex='0']"))
      other.setAttribute("tabindex", "-1");
    cell.setAttribute("tabindex", "0");
    this.focus = [row, column];
    this.readout.textContent = text;
  }

  #choose(m) {
    this.chosen = m.name;
    for (const cell of this.svg.querySelectorAll("[role=gridcell]"))
      cell.setAttribute(
        "aria-selected", cell.getAttribute("data-module") === m.name ? "true" : "false");
    this.onChoose(m);
  }

  #key(event) {
    const move = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1,
                    0]}[event.key];
    const at = event.target.getAttribute?.("data-at");
    if (!at || event.ctrlKey || event.altKey || event.metaKey) return;
    let [row, column] = at.split(",").map(Number);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#choose(this.cells[row][column]);
    } else if (move) {
      event.preventDefault();
      do {
        row += move[0];
        column += move[1];
      } while (this.cells[row] && this.cells[row][column] === null);
      this.#at(row, column)?.focus();
    }
  }

  #drawLegend() {
    const width = 200;
    const left = 16;
    const s = scale(this.colours.from, this.colours.to, left, left + width, this.log);
    const strips = Array.from({length: 50}, (_, i) => svg("rect", {
      x: left + (i * width) / 50,
      y: 4,
      width: width / 50 + 0.5,
      height: 12,
      fill: rampColour((i + 0.5) / 50)
    }));
    const marks = ticks(s, 4).map(
      (x) => svg("g", {}, svg("line", {class: "axis", x1: s(x), x2: s(x), y1: 16, y2: 20}),
        svg("text", {class: "tick", x: s(x), y: 32, "text-anchor": "middle"}, this.#text(x))));
    replace(this.legend, strips, marks);
    this.legend.setAttribute("aria-label",
      `colours from ${this.#text(this.colours.from)} to ${this.#text(this.colours.to)}`);
  }
}
