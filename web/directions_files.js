// web/directions_files.js - the three files about directions, fetched from the output folder of a
// job.

import {missingSentences, readCoefficients, readModules} from "./modules.js";
import {call, fileText} from "./rpc.js";

function parsed(text, name, missing) {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    missing.push(`${name} cannot be read: it is not JSON.`);
    return null;
  }
}

export async function fetchDirections(id, phase, signal) {
  const names = ["directions.json", "spectra.json", "coefficients.jsonl"];
  const {files: listed = []} = await call("ListFiles", {id}, signal);
  const there = new Set(listed.map((file) => file.path));
  const [directions, spectra, coefficients] =
    await Promise.all(names.map((name) => (there.has(name) ? fileText(id, name, signal) : null)));
  const missing = [];
  const files = {
    directions: parsed(directions, names[0], missing),
    spectra: parsed(spectra, names[1], missing),
    coefficients: coefficients === null ? null : readCoefficients(coefficients),
  };
  return {
    modules: readModules(files.directions, files.spectra, files.coefficients),
    missing: [...missing, ...missingSentences(files, phase)],
  };
}
