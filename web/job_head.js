// web/job_head.js - the top of a job's page: its state, its progress, and what else there is to
// know.

import {el, replace, setAttribute, setText, updateFacts} from "./dom.js";
import {bytes, duration, fixed, integer, time} from "./format.js";
import {labelsText} from "./labels.js";
import {fileAddress} from "./rpc.js";
import {badge, isFinal, phaseText, progressBar} from "./states.js";
import {setBadge, setProgress, stepsText} from "./states.js";

function elapsed(job) {
  if (!Number(job.startedMs)) return "";
  return duration(((Number(job.finishedMs) || Date.now()) - Number(job.startedMs)) / 1000);
}

function jobFacts(job) {
  const running = job.state === "RUNNING";
  return [
    ["Loss", job.lastStep ? fixed(Number(job.lastStep.loss || 0)) : ""],
    ["Speed", job.tokensPerSecond ? `${integer(job.tokensPerSecond)} tokens/s` : ""],
    ["ETA", running && job.etaSeconds > 0 ? duration(job.etaSeconds) : ""],
    ["Finish", running && job.etaSeconds > 0 ? time(Date.now() + 1000 * job.etaSeconds) : ""],
    ["Queue", job.queuePosition ? `number ${job.queuePosition}` : ""],
    ["Elapsed", elapsed(job)],
    ["Phase", phaseText(job)],
    ["Restarts", job.restarts || ""],
    ["Nodes", job.nodes],
    ["Slurm job", Number(job.slurmJob) ? String(job.slurmJob) : ""],
    ["Memory", Number(job.memoryBytes) ? `${bytes(job.memoryBytes)}, planned` : ""],
    [
      "Tokens",
      Number(job.tokens) ?
        `${integer(Number(job.tokens))}, ${integer(Number(job.trainedTokens || 0))} trained` :
        ""
    ],
    ["Created", `${time(job.createdMs)}${job.createdBy ? ` by ${job.createdBy}` : ""}`],
    ["Started", Number(job.startedMs) ? time(job.startedMs) : ""],
    ["Finished", Number(job.finishedMs) ? time(job.finishedMs) : ""],
    ["Priority", job.priority || ""],
    ["Labels", labelsText(job)],
    ["Output", job.output],
  ];
}

export class JobHead {
  constructor(host) {
    this.title = el("h1", {});
    this.badge = badge();
    this.bar = progressBar();
    this.steps = el("span", {class: "number"});
    this.actions = el("div", {class: "actions"});
    this.report = el("a", {class: "button", hidden: true}, "Report");
    this.words = el("div", {class: "words-of-job"});
    this.facts = el("dl", {class: "facts"});
    host.append(el("div", {class: "job-head"},
      el("div", {class: "job-title"}, this.title, this.badge, this.actions, this.report),
      el("div", {class: "job-progress"}, this.bar, this.steps), this.words, this.facts));
  }

  // A link to the report that a job leaves which has succeeded.
  offerReport(job, there) {
    this.report.hidden = !there || job.state !== "SUCCEEDED";
    setAttribute(this.report, "href", fileAddress(job.id, "report.html"));
    setAttribute(this.report, "download", `${job.name || job.id}-report.html`);
  }

  update(job, logTail) {
    setText(this.title, `${job.id} ${job.name || ""}`);
    setBadge(this.badge, job.state);
    setProgress(this.bar, job);
    setText(this.steps, stepsText(job));
    const failed = job.state === "FAILED";
    const key = JSON.stringify([job.reason, job.notices, logTail, job.state]);
    if (key !== this.wordsKey) {
      this.wordsKey = key;
      replace(this.words,
        job.reason ? el("p", {class: failed ? "error" :
            isFinal(job)                    ? "note" :
                                              "hint"},
                       job.reason) :
                     null,
        (job.notices || []).map((n) => el("p", {class: "note"}, n)),
        failed && logTail ?
          el("pre", {class: "log tail", tabindex: "0", "aria-label": "end of the log"}, logTail) :
          null);
    }
    updateFacts(this.facts, jobFacts(job));
  }
}
