// web/actions.js - what can be done to a job: the buttons that its state and the caller's role
// allow.

import {ask} from "./dialog.js";
import {el, freshId} from "./dom.js";
import {bytes, time} from "./format.js";
import {labelsOf, labelsText} from "./labels.js";
import {call} from "./rpc.js";
import {isFinal, mayChange, maySubmit} from "./states.js";

const GOING = ["QUEUED", "STARTING", "RUNNING"];

function pause(job, act) {
  ask({
    title: `Pause job ${job.id}?`,
    confirm: "Pause",
    body: el("p", {},
      "A running job finishes its step, writes a checkpoint and gives its cores or nodes back. " +
        "It waits until it is resumed."),
    act: () => act("PauseJob", {id: job.id}),
  });
}

function cancel(job, act) {
  ask({
    title: `Cancel job ${job.id}?`,
    confirm: "Cancel the job",
    danger: true,
    body: el("p", {},
      "A running job finishes its step, writes a checkpoint and ends. " +
        "It can be resumed from there."),
    act: () => act("CancelJob", {id: job.id}),
  });
}

function remove(job, act, onGone) {
  ask({
    title: `Delete job ${job.id}?`,
    confirm: "Delete",
    danger: true,
    body: el("p", {},
      "dashd forgets the job with its steps and events. Its output folder is left as it is: ",
      el("code", {}, job.output)),
    act: async () => {
      await act("DeleteJob", {id: job.id});
      onGone();
    },
  });
}

async function resume(job, act) {
  const {checkpoints = []} = await call("ListCheckpoints", {id: job.id});
  const from = freshId("from");
  const sets = freshId("sets");
  ask({
    title: `Resume job ${job.id}`,
    confirm: "Resume",
    body: [
      el("label", {"for": from}, "From the checkpoint"),
      el("select", {id: from, name: "from"}, el("option", {value: "0"}, "the newest"),
        checkpoints.map((c) => el("option", {value: c.step || 0},
                          `step ${c.step || 0} (${bytes(c.bytes)}, ${time(c.timeMs)})`))),
      el("p", {class: "hint"}, "From an earlier one, later checkpoints are removed."),
      el("label", {"for": sets}, "Changed keys, one a line, such as parallel.stages=2"),
      el("textarea", {id: sets, name: "sets", rows: "3", spellcheck: "false"}),
    ],
    act: (form) => act("ResumeJob", {
      id: job.id,
      fromStep: Number(form.elements.from.value),
      overrides: form.elements.sets.value.split("\n").map((s) => s.trim()).filter(Boolean),
    }),
  });
}

function update(job, act) {
  const priority = freshId("priority");
  const labels = freshId("labels");
  const before = job.labels || [];
  ask({
    title: `Priority and labels of job ${job.id}`,
    confirm: "Change",
    body: [
      el("label", {"for": priority}, "Priority, from -1000 to 1000"),
      el("input", {
        id: priority,
        name: "priority",
        type: "number",
        min: "-1000",
        max: "1000",
        value: job.priority || 0,
        required: true
      }),
      el("label", {"for": labels}, "Labels, such as team=search"),
      el("input", {id: labels, name: "labels", value: labelsText(job)}),
    ],
    act: (form) => {
      const after = labelsOf(form.elements.labels.value);
      return act("UpdateJob", {
        id: job.id,
        labels: after,
        priority: {value: Number(form.elements.priority.value)},
        removeLabels:
          before.map((l) => l.name).filter((name) => !after.some((l) => l.name === name)),
      });
    },
  });
}

// act(method, request) calls dashd and takes the job of the answer over.
export function actionButtons(job, who, act, onGone, onFail) {
  const button = (text, run, kind = "") => el("button", {
    type: "button",
    class: kind,
    "data-action": text.toLowerCase(),
    onclick: () => Promise.resolve(run()).catch(onFail)
  },
    text);
  const buttons = [];
  if (mayChange(who, job)) {
    if (GOING.includes(job.state)) buttons.push(button("Pause", () => pause(job, act)));
    if (isFinal(job) ? job.state !== "SUCCEEDED" : job.state === "PAUSED")
      buttons.push(button("Resume", () => resume(job, act), "primary"));
    buttons.push(button("Edit", () => update(job, act)));
    if (GOING.includes(job.state) || job.state === "PAUSED")
      buttons.push(button("Cancel", () => cancel(job, act), "danger"));
    if (isFinal(job) || job.state === "PAUSED")
      buttons.push(button("Delete", () => remove(job, act, onGone), "danger"));
  }
  if (maySubmit(who))
    buttons.push(el("a", {class: "button", href: `#/submit/${job.id}`}, "Copy to a new job"));
  return buttons;
}
