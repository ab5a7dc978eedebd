// web/colour.js - the ramp of the map. It is a curve through OKLab (B. Ottosson, 2020) on which
// lightness rises evenly, so that equal differences of the value look equally large, also in
// greyscale and to the colour-blind.

const DARKEST = 0.27;
const LIGHTEST = 0.93;
const HUE_FROM = 300;  // degrees: violet, through blue and green, to yellow
const HUE_TO = 105;

// OKLab to sRGB, each from 0 to 1.
function toRgb(L, a, b) {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((x) => (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055));
}

// The colour of a share from 0 to 1: the most chroma, up to 0.15, that sRGB can show there.
function rampRgb(share) {
  const t = Math.min(1, Math.max(0, share));
  const L = DARKEST + (LIGHTEST - DARKEST) * t;
  const hue = ((HUE_FROM + (HUE_TO - HUE_FROM) * t) * Math.PI) / 180;
  for (let chroma = 0.15; chroma > 0; chroma -= 0.01) {
    const rgb = toRgb(L, chroma * Math.cos(hue), chroma * Math.sin(hue));
    if (rgb.every((x) => x >= 0 && x <= 1)) return rgb;
  }
  return toRgb(L, 0, 0);
}

const STEPS = 128;
const ramp = Array.from({length: STEPS + 1},
  (_, i) => `#${
    rampRgb(i / STEPS)
      .map((x) => Math.round(255 * Math.min(1, Math.max(0, x))).toString(16).padStart(2, "0"))
      .join("")}`);

export function rampColour(share) {
  return ramp[Math.round(Math.min(1, Math.max(0, share)) * STEPS)];
}

export const SERIES = 8;  // colours of lines, in app.css
