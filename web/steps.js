// web/steps.js - the steps of a job in columns, and what is drawn of them: series over steps,
// tokens or time, smoothed or not.

const COLUMNS =
  ["step", "loss", "gradNorm", "learningRate", "tokens", "seconds", "evalLoss", "phase"];

export class Steps {
  constructor() {
    for (const name of COLUMNS) this[name] = [];
    this.totalTokens = [];
    this.totalSeconds = [];
  }

  get length() { return this.step.length; }

  get last() { return this.length ? this.step[this.length - 1] : 0; }

  // A Step of dash.proto in JSON, where numbers may be texts and zeros are left out. A step that
  // is repeated after a restart replaces what was there from it on.
  push(message) {
    const step = Number(message.step || 0);
    while (this.length && this.last >= step) this.#pop();
    this.#append({
      step,
      loss: Number(message.loss || 0),
      gradNorm: Number(message.gradNorm || 0),
      learningRate: Number(message.learningRate || 0),
      tokens: Number(message.tokens || 0),
      seconds: Number(message.seconds || 0),
      evalLoss: Number(message.evalLoss || 0),
      phase: String(message.phase || "").toLowerCase(),
    });
  }

  #append(row) {
    const before = this.length - 1;
    for (const name of COLUMNS) this[name].push(row[name]);
    this.totalTokens.push((before < 0 ? 0 : this.totalTokens[before]) + row.tokens);
    this.totalSeconds.push((before < 0 ? 0 : this.totalSeconds[before]) + row.seconds);
  }

  #pop() {
    for (const name of [...COLUMNS, "totalTokens", "totalSeconds"]) this[name].pop();
  }

  // The index of the first step with directions; -1 where there is none, or none before it.
  get boundary() {
    const at = this.phase.indexOf("dash");
    return at > 0 ? at : -1;
  }

  // Columns as a report holds them. It may have left out steps: totals come with it, and the mean
  // of the loss since the step before.
  static fromColumns(columns) {
    const s = new Steps();
    for (const name of COLUMNS) s[name] = columns[name] || [];
    s.totalTokens = columns.totalTokens || [];
    s.totalSeconds = columns.totalSeconds || [];
    s.meanLoss = columns.meanLoss;
    return s;
  }

  // The loss, smoothed: each step counts, also those that a report has left out.
  smoothLoss(weight) {
    const counts = this.meanLoss && this.step.map((n, i) => n - (i ? this.step[i - 1] : 0));
    return smooth(this.meanLoss || this.loss, weight, counts);
  }
}

export const ABSCISSAE = {
  step: {label: "step", of: (s) => s.step},
  tokens: {label: "tokens", of: (s) => s.totalTokens},
  time: {label: "training time", of: (s) => s.totalSeconds, time: true},
};

export function speeds(steps) {
  return steps.tokens.map((n, i) => (steps.seconds[i] > 0 ? n / steps.seconds[i] : NaN));
}

// An exponential mean whose weights sum to one from the first value on: without that it would
// begin near zero. Values that are not finite are passed over; a value may stand for several.
export function smooth(values, weight, counts) {
  let sum = 0;
  let norm = 0;
  return values.map((y, i) => {
    if (!Number.isFinite(y)) return NaN;
    const kept = counts ? weight ** counts[i] : weight;
    sum = kept * sum + (1 - kept) * y;
    norm = kept * norm + (1 - kept);
    return sum / norm;
  });
}

// The points at which something was measured.
export function measured(x, y) {
  const at = y.map((_, i) => i).filter((i) => y[i] > 0);
  return {x: at.map((i) => x[i]), y: at.map((i) => y[i])};
}
