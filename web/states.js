// web/states.js - what a job says of itself, in words and marks.

import {el, setAttribute, setText} from "./dom.js";
import {duration, integer, plural} from "./format.js";

const FINAL = new Set(["SUCCEEDED", "FAILED", "CANCELLED"]);
export const STATES =
  ["QUEUED", "STARTING", "RUNNING", "PAUSED", "SUCCEEDED", "FAILED", "CANCELLED"];
const SIGNS = {
  QUEUED: "…",
  STARTING: "↗",
  RUNNING: "▶",
  PAUSED: "Ⅱ",
  SUCCEEDED: "✓",
  FAILED: "✕",
  CANCELLED: "■"
};

export const isFinal = (job) => FINAL.has(job.state);

// A state has a sign and a word beside its colour.
export function badge() {
  return el("span", {class: "badge"}, el("span", {"aria-hidden": "true"}), el("span", {}));
}

export function setBadge(node, state) {
  setAttribute(node, "class", `badge state-${String(state).toLowerCase()}`);
  setText(node.firstChild, SIGNS[state] || "?");
  setText(node.lastChild, state || "UNKNOWN");
}

export function progressBar() { return el("progress", {max: "1", value: "0"}); }

export function setProgress(node, job) {
  const total = job.stepsTotal || 0;
  setAttribute(node, "max", total || 1);
  setAttribute(node, "value", Math.min(total || 1, job.stepsDone || 0));
  setAttribute(node, "aria-label", `step ${job.stepsDone || 0} of ${total}`);
}

export function stepsText(job) {
  return `${integer(job.stepsDone || 0)} / ${integer(job.stepsTotal || 0)}`;
}

export function phaseText(job) {
  const d = job.decomposition;
  const name = job.phase && job.phase !== "PHASE_UNSPECIFIED" ? job.phase.toLowerCase() : "";
  if (d && (d.done || 0) < (d.matrices || 0) && !isFinal(job)) {
    const left = d.secondsLeft > 0 ? `, ${duration(d.secondsLeft)} left` : "";
    return `${name || "starting"}; ${d.done || 0} of ${
      plural(d.matrices, "matrix", "matrices")} decomposed${left}`;
  }
  return isFinal(job) && job.state === "SUCCEEDED" ? "" : name;
}

export function queueText(job) {
  if (job.queuePosition) return `number ${job.queuePosition} in the queue`;
  return job.nodes || "";
}

// Whether the caller may change the job, as dashd decides it: its creator and admins.
export function mayChange(who, job) {
  return who.role === "admin" || (who.role === "submit" && job.createdBy === who.caller);
}

export const maySubmit = (who) => who.role === "submit" || who.role === "admin";
