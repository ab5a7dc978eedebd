// web/chart.js - lines over an axis, in SVG. Charts of a group share the part of the x axis that
// is shown and the place that is looked at: dragging over one zooms all. A line with more points
// than there are pixels is drawn by the least and the greatest value of each column of pixels, so
// that no peak is lost.

import {el, freshId, replace, setText, svg} from "./dom.js";
import {duration, number} from "./format.js";
import {padded, scale, ticks, timeTicks} from "./scale.js";

const TOP = 18;
const RIGHT = 14;
const BOTTOM = 36;
const TEXT = 6.6;  // width of a digit of the axes' text
const DRAG_LEAST = 5;
const POINT_NEAR = 8;  // pixels
const MARK_NEAR = 5;

export class ChartGroup {
  constructor() {
    this.charts = new Set();
    this.domain = null;  // all
    this.cursor = null;  // a value of x
  }

  setDomain(domain) {
    this.domain = domain;
    for (const chart of this.charts) chart.draw();
  }

  setCursor(x, active) {
    this.cursor = x;
    for (const chart of this.charts) chart.showCursor(chart === active);
  }
}

// The index of the value nearest to x in a rising list; -1 where it is empty.
function nearest(list, x) {
  let low = 0;
  let high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < x)
      low = middle + 1;
    else
      high = middle;
  }
  return low > 0 && Math.abs(list[low - 1] - x) < Math.abs(list[low] - x) ? low - 1 : low;
}

function extent(series, log, of, within) {
  let least = Infinity;
  let most = -Infinity;
  for (const s of series)
    for (let i = 0; i < s.x.length; i++) {
      const value = s[of][i];
      if (!Number.isFinite(value) || (log && value <= 0)) continue;
      if (within && (s.x[i] < within[0] || s.x[i] > within[1])) continue;
      if (value < least) least = value;
      if (value > most) most = value;
    }
  return [least, most];
}

function pathOf(s, sx, sy, log) {
  const first = Math.max(0, nearest(s.x, sx.from) - 1);
  const last = Math.min(s.x.length - 1, nearest(s.x, sx.to) + 1);
  const valid = (y) => Number.isFinite(y) && !(log && y <= 0);
  const parts = [];
  // a line of no length, so that a point alone is seen, too
  const put = (i, pen) => parts.push(
    `${pen}${sx(s.x[i]).toFixed(1)} ${sy(s.y[i]).toFixed(1)}${pen === "M" ? "h0" : ""}`);
  const thin = last - first > 2 * (sx(sx.to) - sx(sx.from));
  let open = false;
  for (let i = first; i <= last;) {
    if (!valid(s.y[i])) {
      open = false;
      i++;
      continue;
    }
    if (!thin) {
      put(i++, open ? "L" : "M");
      open = true;
      continue;
    }
    const column = Math.floor(sx(s.x[i]));
    let low = i;
    let high = i;
    for (; i <= last && valid(s.y[i]) && Math.floor(sx(s.x[i])) === column; i++) {
      if (s.y[i] < s.y[low]) low = i;
      if (s.y[i] > s.y[high]) high = i;
    }
    put(Math.min(low, high), open ? "L" : "M");
    if (low !== high) put(Math.max(low, high), "L");
    open = true;
  }
  return parts.join("");
}

export class Chart {
  // options: title, unit, height, group, yFormat, xFormat (of the place that is looked at)
  constructor(host, options) {
    this.options = {height: 200, yFormat: (y) => number(y), ...options};
    this.group = options.group || new ChartGroup();
    this.group.charts.add(this);
    this.data = {series: [], marks: []};
    this.clip = freshId("clip");
    this.#build(host);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.plot);
  }

  #build(host) {
    const title = el("span", {class: "chart-title"}, this.options.title,
      this.options.unit ? el("span", {class: "unit"}, ` ${this.options.unit}`) : null);
    this.readout = el("span", {class: "readout"});
    this.reset = el("button",
      {type: "button", class: "small", hidden: true, onclick: () => this.group.setDomain(null)},
      "Show all");
    this.svg = svg("svg", {role: "img"});
    this.tip = el("div", {class: "tip", hidden: true});
    this.spoken = el("span", {class: "visually-hidden", "aria-live": "polite"});
    this.plot = el("div", {
      class: "plot",
      tabindex: "0",
      role: "group",
      "aria-label":
        `${this.options.title}: arrow keys read values, m the next mark, + and - zoom, 0 all`,
      onkeydown: (e) => this.#key(e),
      onblur: () => this.group.setCursor(null),
    },
      this.svg, this.tip);
    this.plot.addEventListener("pointerdown", (e) => this.#down(e));
    this.plot.addEventListener("pointermove", (e) => this.#move(e));
    this.plot.addEventListener("pointerup", (e) => this.#up(e));
    this.plot.addEventListener("pointercancel", () => this.#brush(null));
    this.plot.addEventListener("pointerleave", () => !this.dragFrom && this.group.setCursor(null));
    this.plot.addEventListener("dblclick", () => this.group.setDomain(null));
    this.figure = el("figure", {class: "chart"},
      el("figcaption", {}, title, this.readout, this.reset), this.plot, this.spoken);
    host.append(this.figure);
  }

  close() {
    this.observer.disconnect();
    this.group.charts.delete(this);
    this.figure.remove();
  }

  // data: series [{name, slot, x, y, style: line | points, faint, silent}], marks [{x, label,
  // slot, words}], whose words are read where the mark is looked at, xLabel, xLog, yLog, time (x
  // in seconds), whole (x in integers)
  set(data) {
    this.data = {marks: [], ...data};
    this.draw();
  }

  // Drawn at most once for each picture of the screen.
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.plot.clientWidth) this.#drawNow();
    });
  }

  #scales(width, height) {
    const {series, xLog, yLog} = this.data;
    let [x0, x1] = this.group.domain || extent(series, xLog, "x");
    if (!(x0 < x1)) [x0, x1] = padded(x0, x1, xLog);
    const [y0, y1] = padded(...extent(series, yLog, "y", [x0, x1]), yLog);
    const sy = scale(y0, y1, height - BOTTOM, TOP, yLog);
    const yTicks = ticks(sy, Math.max(2, Math.floor((height - TOP - BOTTOM) / 34)));
    const texts = yTicks.map((y) => number(y, 4));
    const left = 12 + TEXT * Math.max(2, ...texts.map((t) => t.length));
    this.sx = scale(x0, x1, left, width - RIGHT, xLog);
    this.sy = sy;
    return {left, yTicks, texts};
  }

  #drawNow() {
    const width = this.plot.clientWidth;
    const {height} = this.options;
    const some = this.data.series.some((s) => s.x.length);
    this.cursorLayer = svg("g", {class: "cursor"});
    this.brushBox = svg("rect", {class: "brush", y: TOP, height: height - BOTTOM - TOP, width: 0});
    replace(this.svg, some ? this.#content(width, height) : this.#nothing(width, height),
      this.brushBox, this.cursorLayer);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("aria-label", this.#summary());
    this.reset.hidden = !this.group.domain;
    this.showCursor(this.active);
  }

  #nothing(width, height) {
    this.sx = null;
    return [svg("text", {class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle"},
      this.data.nothing || "no values yet")];
  }

  #content(width, height) {
    const {left, yTicks, texts} = this.#scales(width, height);
    const right = width - RIGHT;
    const bottom = height - BOTTOM;
    const clip =
      {x: left - 4, y: TOP - 4, width: Math.max(0, right - left + 8), height: bottom - TOP + 8};
    return [
      svg("clipPath", {id: this.clip}, svg("rect", clip)),
      ...yTicks.map((y, i) => this.#yTick(this.sy(y), texts[i], left, right)),
      ...this.#xAxis(left, width, bottom),
      ...this.#marks(bottom, width),
      svg("g", {"clip-path": `url(#${this.clip})`}, this.data.series.map((s) => this.#series(s))),
    ];
  }

  #yTick(y, text, left, right) {
    return svg("g", {}, svg("line", {class: "grid", x1: left, x2: right, y1: y, y2: y}),
      svg("text", {class: "tick", x: left - 6, y: y + 4, "text-anchor": "end"}, text));
  }

  #xAxis(left, width, bottom) {
    const count = Math.max(2, Math.floor((width - left) / 80));
    const all = this.data.time ? timeTicks(this.sx, count) : ticks(this.sx, count);
    const marks = this.data.whole ? all.filter(Number.isInteger) : all;
    const text = (x) => (this.data.time ? duration(x) : number(x, 6));
    return [
      svg("line", {class: "axis", x1: left, x2: width - RIGHT, y1: bottom, y2: bottom}),
      ...marks.map(
        (x) => svg("g", {},
          svg("line", {class: "axis", x1: this.sx(x), x2: this.sx(x), y1: bottom, y2: bottom + 4}),
          svg("text", {class: "tick", x: this.sx(x), y: bottom + 16, "text-anchor": "middle"},
            text(x)))),
      svg("text", {
        class: "axis-title",
        x: (left + width - RIGHT) / 2,
        y: bottom + 31,
        "text-anchor": "middle"
      },
        this.data.xLabel || ""),
    ];
  }

  #marks(bottom, width) {
    return this.data.marks.filter((m) => m.x >= this.sx.from && m.x <= this.sx.to).map((m) => {
      const x = this.sx(m.x);
      const turned = m.label && x + TEXT * m.label.length > width - RIGHT;
      const kind = m.words ? " restart" : "";
      return svg("g", {class: `mark${kind}${m.slot === undefined ? "" : ` stroke-${m.slot}`}`},
        svg("line", {x1: x, x2: x, y1: TOP - 8, y2: bottom}),
        m.label ?
          svg("text",
            {x: turned ? x - 4 : x + 4, y: TOP - 6, "text-anchor": turned ? "end" : "start"},
            m.label) :
          null);
    });
  }

  #series(s) {
    const colour = `stroke-${s.slot}${s.faint ? " faint" : ""}`;
    if (s.style !== "points")
      return svg(
        "path", {class: `line ${colour}`, d: pathOf(s, this.sx, this.sy, this.data.yLog)});
    return svg("g", {class: `points fill-${s.slot}`},
      s.x.map((x, i) => x >= this.sx.from && x <= this.sx.to && Number.isFinite(s.y[i]) &&
            !(this.data.yLog && s.y[i] <= 0) ?
          svg("circle",
            {cx: this.sx(x).toFixed(1), cy: this.sy(s.y[i]).toFixed(1), r: s.radius || 3}) :
          null));
  }

  #summary() {
    const parts = this.data.series.filter((s) => s.x.length && !s.faint)
                    .map((s) => `${s.name}: ${s.x.length} values, the last ${
                           this.options.yFormat(s.y[s.y.length - 1])}`);
    return `${this.options.title} over ${this.data.xLabel}. ${
      parts.join("; ") || "No values yet"}`;
  }

  // ---- the place that is looked at ----

  // The values at x. A point counts only where it is near: between points nothing was measured.
  #rows(x) {
    return this.data.series.filter((s) => !s.faint && !s.silent && s.x.length)
      .map((s) => ({s, i: nearest(s.x, x)}))
      .map(({s, i}) => ({s, x: s.x[i], y: s.y[i]}))
      .filter((row) => Number.isFinite(row.y) &&
          (row.s.style !== "points" || Math.abs(this.sx(row.x) - this.sx(x)) <= POINT_NEAR));
  }

  // What marks near a place say.
  #words(x, near = MARK_NEAR) {
    return this.data.marks.filter((m) => m.words && Math.abs(this.sx(m.x) - this.sx(x)) <= near)
      .flatMap((m) => m.words);
  }

  #place(x) {
    if (this.options.xFormat) return this.options.xFormat(x);
    return `${this.data.xLabel} ${this.data.time ? duration(x) : number(x, 7)}`;
  }

  showCursor(active) {
    const x = this.group.cursor;
    this.active = active;
    if (!this.cursorLayer || !this.sx) return;
    replace(this.cursorLayer);
    const rows = x === null || x < this.sx.from || x > this.sx.to ? [] : this.#rows(x);
    this.tip.hidden = !active || !rows.length;
    setText(this.readout,
      !active && rows.length && rows.length < 4 ?
        rows.map((row) => this.options.yFormat(row.y)).join("  ") :
        "");
    if (!rows.length) return;
    const at = this.sx(rows[0].x);
    this.cursorLayer.append(
      svg("line", {x1: at, x2: at, y1: TOP, y2: this.options.height - BOTTOM}));
    for (const row of rows)
      if (!(this.data.yLog && row.y <= 0))
        this.cursorLayer.append(svg("circle",
          {class: `fill-${row.s.slot}`, cx: this.sx(row.x), cy: this.sy(row.y), r: 3.5}));
    if (active) this.#showTip(rows, at);
  }

  #showTip(rows, at) {
    replace(this.tip, el("div", {class: "tip-place"}, this.#place(rows[0].x)),
      el("table", {},
        rows.map(
          (row) => el("tr", {}, el("td", {}, el("i", {class: `swatch fill-${row.s.slot}`})),
            el("th", {scope: "row"}, row.s.name), el("td", {}, this.options.yFormat(row.y))))),
      this.#words(this.group.cursor).map((text) => el("p", {class: "tip-words"}, text)));
    const width = this.tip.offsetWidth;
    const left = at + 14 + width > this.plot.clientWidth ? at - 14 - width : at + 14;
    this.tip.style.left = `${Math.max(0, left)}px`;
  }

  #say() {
    const rows = this.group.cursor === null ? [] : this.#rows(this.group.cursor);
    setText(this.spoken,
      rows.length ? `${this.#place(rows[0].x)}: ${
                        [...rows.map((row) => `${row.s.name} ${this.options.yFormat(row.y)}`),
                          ...this.#words(rows[0].x, 0)]
                          .join(", ")}` :
                    "");
  }

  // ---- pointer and keys ----

  #xAt(event) {
    const pixel = event.clientX - this.svg.getBoundingClientRect().left;
    return {pixel, x: Math.min(this.sx.to, Math.max(this.sx.from, this.sx.invert(pixel)))};
  }

  #down(event) {
    if (event.button !== 0 || !this.sx) return;
    this.dragFrom = this.#xAt(event);
    this.plot.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (!this.sx) return;
    const to = this.#xAt(event);
    if (this.dragFrom) this.#brush(to);
    this.group.setCursor(to.x, this);
  }

  #brush(to) {
    const from = this.dragFrom;
    if (!to) this.dragFrom = null;
    if (!this.brushBox) return;
    this.brushBox.setAttribute("x", from && to ? Math.min(this.sx(from.x), this.sx(to.x)) : 0);
    this.brushBox.setAttribute(
      "width", from && to ? Math.abs(this.sx(from.x) - this.sx(to.x)) : 0);
  }

  #up(event) {
    if (!this.dragFrom || !this.sx) return;
    const from = this.dragFrom;
    const to = this.#xAt(event);
    this.#brush(null);
    if (Math.abs(to.pixel - from.pixel) >= DRAG_LEAST)
      this.group.setDomain([Math.min(from.x, to.x), Math.max(from.x, to.x)]);
  }

  // To the value that many further.
  #step(by) {
    const main = this.#main();
    if (!main) return;
    const {cursor} = this.group;
    this.#goTo(main, cursor === null ? main.x.length - 1 : nearest(main.x, cursor) + by);
  }

  #main() { return this.data.series.find((s) => !s.faint && !s.silent && s.x.length); }

  #goTo(main, index) {
    const x = main?.x[Math.min(main.x.length - 1, Math.max(0, index))];
    if (x === undefined || x < this.sx.from || x > this.sx.to) return;
    this.group.setCursor(x, this);
    this.#say();
  }

  // To the next mark that has words, and from the last to the first.
  #nextMark() {
    const main = this.#main();
    const marks =
      this.data.marks.filter((m) => m.words && m.x >= this.sx.from && m.x <= this.sx.to)
        .map((m) => m.x)
        .sort((a, b) => a - b);
    if (!main || !marks.length) return;
    const {cursor} = this.group;
    const next = marks.find((x) => cursor === null || x > cursor) ?? marks[0];
    this.#goTo(main, nearest(main.x, next));
  }

  #zoom(factor) {
    const all = extent(this.data.series, this.data.xLog, "x");
    const centre =
      this.group.cursor === null ? (this.sx.from + this.sx.to) / 2 : this.group.cursor;
    const from = Math.max(all[0], centre - (centre - this.sx.from) * factor);
    const to = Math.min(all[1], centre + (this.sx.to - centre) * factor);
    this.group.setDomain(from <= all[0] && to >= all[1] ? null : [from, to]);
  }

  #key(event) {
    if (!this.sx || event.ctrlKey || event.altKey || event.metaKey) return;
    const by = event.shiftKey ? 10 : 1;
    const actions = {
      ArrowLeft: () => this.#step(-by),
      ArrowRight: () => this.#step(by),
      Home: () => this.#goTo(this.#main(), 0),
      End: () => this.#goTo(this.#main(), Infinity),
      "+": () => this.#zoom(0.5),
      "=": () => this.#zoom(0.5),
      "-": () => this.#zoom(2),
      0: () => this.group.setDomain(null),
      m: () => this.#nextMark(),
      Escape: () => this.group.setCursor(null),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }
}
