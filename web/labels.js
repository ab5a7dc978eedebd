// web/labels.js - labels as people type them: "team=search urgent".

export function labelsText(job) {
  return (job.labels || []).map((l) => (l.value ? `${l.name}=${l.value}` : l.name)).join(" ");
}

export function labelsOf(text) {
  return text.split(/\s+/).filter(Boolean).map((word) => {
    const at = word.indexOf("=");
    return at < 0 ? {name: word, value: ""} : {name: word.slice(0, at), value: word.slice(at + 1)};
  });
}
