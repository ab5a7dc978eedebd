// tests/web/accessibility.js - what can be read off a page about its use without a mouse, without
// colour vision and without sight (WCAG 2.2): a list of sentences, one a fault.
(() => {
  const faults = [];
  const report = (node, what) => faults.push(`${what}: ${node.outerHTML.slice(0, 160)}`);
  const seen = (node) =>
    node.checkVisibility({visibilityProperty: true}) && node.getBoundingClientRect().width > 0;
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  const textOf = (ids) =>
    ids.split(" ").map((id) => document.getElementById(id)?.textContent || "").join(" ");
  const nameOf = (node) => (node.getAttribute("aria-label") ||
    (node.getAttribute("aria-labelledby") && textOf(node.getAttribute("aria-labelledby"))) ||
    [...(node.labels || [])].map((l) => l.textContent).join(" ") || node.textContent ||
    node.getAttribute("title") ||
    "").trim();

  // 4.1.2: what takes the focus has a name
  for (const node of all("a[href], button, input, select, textarea, [tabindex='0'], [role=img], " +
         "[role=tab], [role=gridcell]"))
    if (!nameOf(node)) report(node, "no name");
  // 4.1.1: identifiers are unique, and those that are named exist
  const ids = [...document.querySelectorAll("[id]")].map((n) => n.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i)))
    faults.push(`the id ${id} is there twice`);
  for (const attribute of ["for", "aria-labelledby", "aria-describedby", "aria-controls"])
    for (const node of document.querySelectorAll(`[${attribute}]`))
      for (const id of node.getAttribute(attribute).split(" "))
        if (!document.getElementById(id)) report(node, `${attribute} names nothing`);
  // 1.3.1: headings begin with h1 and skip no level
  let level = 0;
  for (const node of all("h1, h2, h3, h4")) {
    const here = Number(node.tagName[1]);
    if (here > level + 1) report(node, `a heading of level ${here} follows level ${level}`);
    level = here;
  }
  if (!document.documentElement.lang) faults.push("the page has no language");
  if (!document.title) faults.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) faults.push("there is not one main");
  // 2.5.8: targets are 24 pixels high and wide, unless in a line of text
  for (const node of all("button, select, input:not([type=checkbox]), .button, [role=tab]")) {
    const box = node.getBoundingClientRect();
    if (box.height < 24 || box.width < 24)
      report(node, `a target of ${Math.round(box.width)} x ${Math.round(box.height)} pixels`);
  }
  // 1.4.3, 1.4.11: contrast of texts, and of what is drawn
  const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g,
      b].map((v) =>
               v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  for (const node of all("body *")) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const style = getComputedStyle(node);
    const drawn = node.matches("path.line:not(.faint)");
    if ((!own && !drawn) || node.closest(":disabled, .visually-hidden, .skip, option, noscript"))
      continue;
    const colour = rgb(drawn       ? style.stroke :
        node instanceof SVGElement ? style.fill :
                                     style.color);
    const least = drawn ? 3 : 4.5;
    if (contrast(colour, behind(node)) < least)
      report(node, `contrast ${contrast(colour, behind(node)).toFixed(2)}, below ${least}`);
  }
  // 1.4.10: nothing is wider than the window
  const {scrollWidth, clientWidth} = document.documentElement;
  if (scrollWidth > clientWidth)
    faults.push(`the page is ${scrollWidth} pixels wide, the window ${clientWidth}`);
  return faults;
})()
