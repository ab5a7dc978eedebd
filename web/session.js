// web/session.js - who looks at the page, and the form that asks for a token.

import {add, el, freshId, replace, setText} from "./dom.js";
import {call, logIn, logOut} from "./rpc.js";

export const who = {
  caller: "",
  role: "",
  version: "",
  running: 0,
  queued: 0,
  maxRunning: 0
};

export async function learnWho() {
  const info = await call("GetServerInfo");
  Object.assign(
    who, {running: 0, queued: 0, maxRunning: 0, caller: "", role: "", version: ""}, info);
}

// Asks for a token until one is accepted, and then calls onDone.
export function showLogin(main, onDone) {
  const input = freshId("token");
  const failure = el("p", {class: "error", role: "alert"});
  const form = el("form", {
    class: "login",
    onsubmit: async (e) => {
      e.preventDefault();
      setText(failure, "");
      try {
        await logIn(form.elements.token.value.trim());
        await onDone();
      } catch (error) {
        setText(failure,
          error.code === "UNAUTHENTICATED" ?
            "This token is not known, has expired or was revoked." :
            error.message);
      }
    },
  },
    el("h1", {}, "Sign in"), el("label", {"for": input}, "Token"), el("input", {
      id: input,
      name: "token",
      type: "password",
      required: true,
      autocomplete: "current-password"
    }),
    el("button", {type: "submit", class: "primary"}, "Sign in"), failure,
    el("p", {class: "hint"}, "The owner of this dashd gives out tokens: ",
      el("code", {}, "dashd token add NAME --role submit"), ". On the machine where dashd runs, ",
      el("code", {}, "dashctl web"), " prints an address that signs in by itself."));
  replace(main, form);
  form.elements.token.focus();
}

export function showWho(node, onOut) {
  replace(node);
  if (!who.role) return;
  add(node,
    el("span", {title: `${who.caller}, dashd ${who.version}`}, `${who.caller} (${who.role})`),
    who.caller.startsWith("token:") ? el("button", {
      type: "button",
      class: "small",
      onclick: async () => {
        await logOut();
        onOut();
      }
    },
                                        "Sign out") :
                                      null);
}
