// web/modules.js - the files about directions, read into one list of matrices, and the place of
// each in the model: a layer and a kind of matrix.

const KINDS = [
  "q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "gate_proj", "up_proj", "gate_up_proj",
  "down_proj"
];

// "model.layers.3.self_attn.q_proj" is the q_proj of layer 3; what has no layer is a row of its
// own.
function placeOf(name) {
  const found = /(?:^|\.)(\d+)\.(.+)$/.exec(name);
  if (!found) return {layer: -1, kind: name};
  return {
    layer: Number(found[1]),
    kind: found[2].replace(/^(self_attn|mlp|attention|feed_forward)\./, "")
  };
}

function orderOf(kind) {
  const at = KINDS.indexOf(kind);
  return at < 0 ? KINDS.length : at;
}

const numbers = (list) => (Array.isArray(list) ? list.map(Number) : []);

// directions.json is written when the directions are chosen, with coefficients of zero, and again
// at the end: between the two the last row of the history has the newer ones.
function newestCoefficients(listed, growth) {
  const last = growth?.c[growth.c.length - 1];
  return last?.length === listed.length && listed.every((c) => c === 0) ? numbers(last) : listed;
}

// [{name, layer, kind, indices, delta, sigma, coefficient, nextDelta, spectrum or null, growth or
// null}]. coefficients: {step: [...], c: [[a list of k a module] a step]}
export function readModules(directions, spectra, coefficients) {
  return Object.entries(directions || {}).map(([name, d], at) => {
    const growth = coefficients?.step.length ?
      {step: coefficients.step, c: coefficients.c.map((row) => row[at] || [])} :
      null;
    return {
      name,
      ...placeOf(name),
      indices: numbers(d.indices),
      delta: numbers(d.delta),
      sigma: numbers(d.sigma),
      coefficient: newestCoefficients(numbers(d.coefficient), growth),
      nextDelta: Number(d.next_delta),
      spectrum: Array.isArray(spectra?.[name]?.points) ? spectra[name] : null,
      growth,
    };
  });
}

// coefficients.jsonl; a last line that is not whole yet is left out.
export function readCoefficients(text) {
  const read = {step: [], c: []};
  for (const line of String(text || "").split("\n")) {
    if (!line.trim()) continue;
    try {
      const row = JSON.parse(line);
      while (read.step.length && read.step[read.step.length - 1] >= row.step) {
        read.step.pop();
        read.c.pop();
      }
      read.step.push(Number(row.step));
      read.c.push(row.c);
    } catch {
      break;
    }
  }
  return read;
}

// Sentences about what is not there; phase: of the newest step.
export function missingSentences({directions, spectra, coefficients}, phase) {
  if (phase === "lora") return ["This job trains plain LoRA: it has no directions."];
  if (!directions)
    return [
      "The directions are not chosen yet: directions.json appears with the first step after them."
    ];
  return [
    spectra ?
      "" :
      "spectra.json is not in the output folder: charts show the chosen directions alone, " +
        "and the share of the update is not known.",
    coefficients ?
      "" :
      "coefficients.jsonl is not in the output folder: how the coefficients grew is not known, " +
        "and the table has their newest values.",
  ].filter(Boolean);
}

export function layersAndKinds(modules) {
  const layers = [...new Set(modules.map((m) => m.layer))].sort((a, b) => a - b);
  const kinds = [...new Set(modules.map((m) => m.kind))].sort(
    (a, b) => orderOf(a) - orderOf(b) || (a < b ? -1 : 1));
  return {layers, kinds};
}

const largest = (list) => list.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

// What a map shows of a matrix. NaN: it is not known.
export const MEASURES = {
  delta: {
    label: "largest δ",
    hint: "how far training moved the matrix along the direction it moved most, relative to σ",
    of: (m) => (m.delta.length ? largest(m.delta) : NaN),
  },
  share: {
    label: "share of the update",
    hint: "the share of ‖ΔW‖² that lay in the chosen directions when they were chosen",
    percent: true,
    of: (m) => (m.spectrum && Number.isFinite(m.spectrum.share) ? m.spectrum.share : NaN),
  },
  coefficient: {
    label: "largest |c|",
    hint: "the coefficient of greatest size among the chosen directions, as trained so far",
    of: (m) => (m.coefficient.length ? largest(m.coefficient) : NaN),
  },
};
