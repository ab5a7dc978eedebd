// web/app.js - the page: which view the address names, whether it is live, and the keys.
//
//   #/                        the jobs
//   #/job/ID/PART/MODULE      a job; its curves, directions, log, events, file or files
//   #/compare/ID,ID           jobs over one another
//   #/submit/ID               a new job, empty or like another

import {CompareView} from "./compare_view.js";
import {inform} from "./dialog.js";
import {el, recall, remember, replace, setText} from "./dom.js";
import {clock} from "./format.js";
import {JobView} from "./job.js";
import {JobsView} from "./jobs.js";
import {learnWho, showLogin, showWho, who} from "./session.js";
import {maySubmit} from "./states.js";
import {SubmitView} from "./submit.js";

const part = (id) => document.getElementById(id);
const THEMES = ["auto", "light", "dark"];
const KEYS = [
  ["?", "these keys"],
  ["g", "the jobs"],
  ["n", "a new job"],
  ["/", "search the jobs"],
  ["j, k", "next and previous job"],
  ["Enter", "open the job that has the focus"],
  ["1 … 6", "parts of a job"],
  ["← → m + - 0", "in a chart: read values, the next mark, zoom, show all"],
  ["← → ↑ ↓ Enter", "in the map: move, choose"],
  ["Esc", "leave a dialog"],
];

let view = null;
let lastLive = 0;

function showLive(kind, text) {
  if (kind === "live") lastLive = Date.now();
  if (kind === "failed" && text.code === "UNAUTHENTICATED") return signIn();
  const since = lastLive ? ` since ${clock(lastLive)}` : "";
  const words = {
    live: "live",
    ended: "",
    resting: `not live${since}: nobody was looking`,
    waiting: `not live${since}: ${text}, trying again`,
    failed: `not live: ${text?.message}`,
  };
  part("live").className = `live live-${kind}`;
  setText(part("live"), words[kind]);
  return undefined;
}

// A form or button of the page that turns out to need a new token, too.
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.code !== "UNAUTHENTICATED") return;
  event.preventDefault();
  signIn();
});

const context = {
  main: part("main"),
  who,
  onState: showLive,
  go: (address) => {
    location.hash = address;
  },
  // The address of what is shown, without showing it anew.
  note: (address) => history.replaceState(null, "", address),
};

function makeView(parts) {
  const [name, id, tab, module] = parts;
  if (name === "job" && id) return new JobView(context, id, tab, module);
  if (name === "compare" && id)
    return new CompareView(context, [...new Set(id.split(","))].slice(0, 8));
  if (name === "submit" && maySubmit(who)) return new SubmitView(context, id);
  return new JobsView(context);
}

function show() {
  view?.close();
  document.title = "dash";
  const parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  view = makeView(parts);
  drawNav(parts[0]);
  scrollTo(0, 0);
}

function drawNav(at) {
  const link = (address, text, here) =>
    el("a", {href: address, "aria-current": here ? "page" : null}, text);
  replace(part("nav"), link("#/", "Jobs", !["submit", "job", "compare"].includes(at)),
    maySubmit(who) ? link("#/submit", "New job", at === "submit") : null);
  showWho(part("who"), signIn);
}

function signIn() {
  view?.close();
  view = null;
  Object.assign(who, {role: "", caller: ""});
  replace(part("nav"));
  replace(part("who"));
  showLive("ended");
  showLogin(part("main"), start);
}

async function start() {
  try {
    await learnWho();
  } catch (error) {
    if (error.code === "UNAUTHENTICATED") return signIn();
    showLive("waiting", error.message);
    setTimeout(start, 2000);
    return undefined;
  }
  show();
  return undefined;
}

// ---- theme and keys ----

function setTheme(theme) {
  const sign = {auto: "◐", light: "○", dark: "●"}[theme];
  remember("theme", theme);
  document.documentElement.dataset.theme = theme;
  setText(part("theme"), sign);
  part("theme").setAttribute("aria-label", `Colours: ${theme}`);
  part("theme").title = `Colours: ${theme}`;
}

part("theme").addEventListener("click", () => {
  const at = THEMES.indexOf(document.documentElement.dataset.theme);
  setTheme(THEMES[(at + 1) % THEMES.length]);
});

function showKeys() {
  inform("Keys", el("table", {class: "plain"}, el("tbody", {}, KEYS.map(([key,
    what]) => el("tr", {}, el("th", {scope: "row"}, el("kbd", {}, key)), el("td", {}, what))))));
}

part("keys").addEventListener("click", showKeys);

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (!view || typing || event.ctrlKey || event.altKey || event.metaKey) return;
  const actions = {
    "?": showKeys,
    g: () => context.go("#/"),
    n: () => maySubmit(who) && context.go("#/submit")
  };
  if (view.key(event))
    event.preventDefault();
  else if (actions[event.key]) {
    event.preventDefault();
    actions[event.key]();
  }
});

addEventListener("hashchange", () => view && show());
// A page that is left may be kept for the way back, and would keep its connections.
addEventListener("pagehide", () => view?.close());
addEventListener("pageshow", (event) => event.persisted && view && show());
setTheme(THEMES.includes(recall("theme")) ? recall("theme") : "auto");
start();
