// web/scale.js - axes: a domain of numbers on a range of pixels, linear or logarithmic, and the
// round numbers to mark on it.

export function scale(from, to, start, end, log) {
  const map = log ? Math.log : (x) => x;
  const back = log ? Math.exp : (x) => x;
  const a = map(from);
  const b = map(to);
  const width = b - a || 1;
  const at = (x) => start + ((map(x) - a) / width) * (end - start);
  at.invert = (pixel) => back(a + ((pixel - start) / (end - start)) * width);
  at.from = from;
  at.to = to;
  at.log = Boolean(log);
  return at;
}

const STEPS_MOST = 1e11;  // from zero: ticks have 12 digits to differ in
const NOISE = 1e-9;       // a spread of values that is round-off alone

function niceStep(width, count) {
  const rough = width / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const lead = rough / power;
  return (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10) * power;
}

function linearTicks(from, to, count) {
  const step = niceStep(to - from, count);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  if (!(step > 0) || !(Math.max(Math.abs(first), Math.abs(last)) < STEPS_MOST)) return [from];
  return Array.from({length: Math.max(0, last - first + 1)},
    (_, i) => Number(((first + i) * step).toPrecision(12)));
}

// Powers of ten; with few of them 2 and 5 as well; with many, every n-th.
function logTicks(from, to, count) {
  const first = Math.max(-323, Math.floor(Math.log10(from)));
  const last = Math.min(308, Math.ceil(Math.log10(to)));
  const decades = Math.log10(to / from);
  const every = Math.max(1, Math.ceil(decades / Math.max(1, count)));
  const leads = decades * 3 <= count ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = first; power <= last; power++)
    for (const lead of leads) {
      const x = Number((lead * 10 ** power).toPrecision(12));
      const within = x >= from * 0.999999 && x <= to * 1.000001 && x < Infinity;
      if (power % every === 0 && within) ticks.push(x);
    }
  return ticks.length > 1 ? ticks : linearTicks(from, to, count).filter((x) => x > 0);
}

export function ticks(s, count) {
  return s.log ? logTicks(s.from, s.to, count) : linearTicks(s.from, s.to, count);
}

// Round durations, in seconds.
export function timeTicks(s, count) {
  const units =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
  const rough = (s.to - s.from) / Math.max(1, count);
  const step = units.find((u) => u >= rough);
  if (rough < 1) return linearTicks(s.from, s.to, count);
  if (!step) return linearTicks(s.from / 86400, s.to / 86400, count).map((x) => x * 86400);
  const marks = [];
  for (let x = Math.ceil(s.from / step) * step; x <= s.to; x += step) marks.push(x);
  return marks;
}

// A domain with some room at both ends, for values that may be few, equal or absent.
export function padded(least, most, log) {
  if (!(least <= most)) return log ? [1, 10] : [0, 1];
  if (most - least <= NOISE * Math.max(Math.abs(least), Math.abs(most))) {
    const room = Math.abs(least) * 0.1 || 1;
    return log ? [least / 1.5, least * 1.5] : [least - room, least + room];
  }
  if (log) {
    const room = (most / least) ** 0.04;
    return [least / room, most * room];
  }
  const room = (most - least) * 0.05;
  return [least >= 0 && least - room < 0 ? 0 : least - room, most + room];
}
