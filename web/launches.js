// web/launches.js - where a job was interrupted: the marks of its curves, from launches.jsonl.

// The lines that begin a launch; a last line that is not whole yet is left out.
export function readLaunches(text) {
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const lines = whole.split("\n").filter(Boolean);
  try {
    return lines.map((line) => JSON.parse(line)).filter((launch) => "after_step" in launch);
  } catch {
    return [];
  }
}

// A place and words for each step after which a launch continued: {step, words}. What an earlier
// checkpoint undid is not on the curves any more.
export function interruptions(launches) {
  const marks = [];
  for (const launch of launches) {
    while (marks.length && marks[marks.length - 1].step > launch.after_step) marks.pop();
    if (!launch.after_step) continue;
    const words = `launch ${launch.launch} continues after step ${launch.after_step}: ${
      launch.why || "why is not known"}`;
    const last = marks[marks.length - 1];
    if (last?.step === launch.after_step)
      last.words.push(words);
    else
      marks.push({step: launch.after_step, words: [words]});
  }
  return marks;
}
