// web/settings.js - keys and values of a resolved job file, which dashd writes with one key a line
// and sections of one level; and in which line of any job file a key stands.

function settingsOf(yaml) {
  const settings = new Map();
  let section = "";
  for (const line of String(yaml || "").split("\n")) {
    const found = /^( *)([A-Za-z0-9_]+):(?: (.*))?$/.exec(line);
    if (!found) continue;
    const [, indent, key, value] = found;
    if (!indent && value === undefined)
      section = `${key}.`;
    else
      settings.set((indent ? section : "") + key, value ?? "");
  }
  return settings;
}

// Keys whose values differ between jobs: [[key, [value of each job]], ...].
export function differences(yamls) {
  const all = yamls.map(settingsOf);
  const keys = [...new Set(all.flatMap((s) => [...s.keys()]))];
  return keys.map((key) => [key, all.map((s) => s.get(key) ?? "")]).filter(([,
    values]) => values.some((v) => v !== values[0]));
}

// The line (from 1) of "lora.rank" in a job file of any form; 0: it is not there. Sections may be
// in block or in flow style.
export function lineOf(text, field) {
  const parts = String(field || "").split(".");
  const lines = text.split("\n");
  const names = (line, key) =>
    new RegExp(`(^|[\\s{,"'])${key.replace(/[^\w]/g, "\\$&")}["']?\\s*:`)
      .test(line.replace(/#.*$/, ""));
  const first = lines.findIndex((line) => /^\S/.test(line) && names(line, parts[0]));
  if (first < 0 || !parts[0]) return 0;
  if (parts.length === 1) return first + 1;
  for (let i = first; i < lines.length; i++) {
    if (i > first && /^[^\s#}]/.test(lines[i])) break;
    if (names(i === first ? lines[i].replace(/^[^:]*:/, " ") : lines[i], parts[1])) return i + 1;
  }
  return first + 1;
}
