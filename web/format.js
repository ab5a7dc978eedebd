// web/format.js - numbers, times and sizes as people read them.

export function fixed(x, digits = 4) { return Number.isFinite(x) ? x.toFixed(digits) : "–"; }

// `digits` significant ones, with an exponent only where the number is very small or large.
export function number(x, digits = 4) {
  if (!Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e-3 && size < 1e6) return String(Number(x.toPrecision(digits)));
  return x.toExponential(Math.max(0, digits - 1)).replace(/\.?0+e/, "e").replace("e+", "e");
}

export function integer(x) {
  return Number.isFinite(x) ? Math.round(x).toLocaleString("en-US").replaceAll(",", "\u202f") :
                              "–";
}

export function percent(x, digits = 1) {
  return Number.isFinite(x) ? `${(100 * x).toFixed(digits)} %` : "–";
}

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const s = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d${two(Math.floor((s % 86400) / 3600))}h`;
}

export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let x = Number(n);
  for (; x >= 1000 && at < units.length - 1; at++) x /= 1000;
  return `${at && x < 100 ? x.toFixed(1) : Math.round(x)} ${units[at]}`;
}

export function time(ms) {
  const d = new Date(Number(ms));
  const two = (n) => String(n).padStart(2, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
    `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export function clock(ms) { return time(ms).slice(11); }

export function ago(ms, now = Date.now()) { return `${duration((now - Number(ms)) / 1000)} ago`; }

export function plural(n, one, many = `${one}s`) { return `${n} ${n === 1 ? one : many}`; }
