// web/tabs.js - a row of tabs as the ARIA practices have it: arrows move, one panel is shown.

import {el, freshId} from "./dom.js";

export class Tabs {
  // tabs: [{key, title}]; onShow(key, panel) when one is chosen
  constructor(host, label, tabs, onShow) {
    this.onShow = onShow;
    const stem = freshId("tab");
    this.list = el("div",
      {role: "tablist", class: "tabs", "aria-label": label, onkeydown: (e) => this.#key(e)});
    this.tabs = tabs.map(({key, title}) => {
      const tab = el("button", {
        type: "button",
        role: "tab",
        id: `${stem}-${key}`,
        "aria-controls": `${stem}-${key}-panel`,
        "data-tab": key,
        onclick: () => this.show(key),
      },
        title);
      const panel = el("div", {
        role: "tabpanel",
        id: `${stem}-${key}-panel`,
        "aria-labelledby": tab.id,
        tabindex: "-1",
        hidden: true
      });
      this.list.append(tab);
      return {key, tab, panel};
    });
    host.append(this.list, ...this.tabs.map((t) => t.panel));
  }

  show(key) {
    const shown = this.tabs.find((t) => t.key === key) || this.tabs[0];
    for (const t of this.tabs) {
      t.tab.setAttribute("aria-selected", t === shown ? "true" : "false");
      t.tab.setAttribute("tabindex", t === shown ? "0" : "-1");
      t.panel.hidden = t !== shown;
    }
    this.current = shown.key;
    this.onShow(shown.key, shown.panel);
  }

  #key(event) {
    const here = this.tabs.findIndex((t) => t.key === this.current);
    const next = {ArrowRight: here + 1,
      ArrowLeft: here - 1,
      Home: 0,
      End: this.tabs.length - 1}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const tab = this.tabs[(next + this.tabs.length) % this.tabs.length];
    this.show(tab.key);
    tab.tab.focus();
  }
}
