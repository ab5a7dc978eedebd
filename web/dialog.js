// web/dialog.js - questions: a modal dialog with a form, which Escape leaves.

import {add, el, replace, setText} from "./dom.js";

// body(form): nodes of the form. act(form) does what was confirmed; its error is shown, and the
// dialog stays.
export function ask({title, body, confirm, danger, act}) {
  const dialog = document.getElementById("dialog");
  const failure = el("p", {class: "error", role: "alert"});
  const yes = el("button", {type: "submit", class: danger ? "danger" : "primary"}, confirm);
  const form = el("form", {
    method: "dialog",
    onsubmit: async (e) => {
      e.preventDefault();
      yes.disabled = true;
      setText(failure, "");
      try {
        await act(form);
        dialog.close();
      } catch (error) {
        setText(failure, error.message);
      } finally {
        yes.disabled = false;
      }
    },
  },
    el("h2", {id: "dialog-title"}, title), body, failure,
    el("div", {class: "buttons"},
      el("button", {type: "button", onclick: () => dialog.close()}, "Not now"), yes));
  replace(dialog, form);
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.showModal();
  if (danger) form.querySelector("button[type=button]").focus();
}

export function inform(title, ...body) {
  const dialog = document.getElementById("dialog");
  replace(dialog, el("h2", {id: "dialog-title"}, title));
  add(dialog, ...body,
    el("div", {class: "buttons"},
      el("button", {type: "button", class: "primary", onclick: () => dialog.close()}, "Close")));
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.showModal();
}
