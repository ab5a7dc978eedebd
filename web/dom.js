// web/dom.js - elements made by hand. Text becomes a text node, never markup: names of jobs, logs
// and data come from others.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on"))
      node.addEventListener(name.slice(2), value);
    else
      node.setAttribute(name, value === true ? "" : value);
  }
  add(node, ...children);
  return node;
}

export function add(node, ...children) {
  for (const child of children.flat()) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function replace(node, ...children) {
  node.replaceChildren();
  return add(node, ...children);
}

// Leaves a node alone that has the text already, so that selections and readers are not disturbed.
export function setText(node, text) {
  const value = text === undefined || text === null ? "" : String(text);
  if (node.textContent !== value) node.textContent = value;
}

export function setAttribute(node, name, value) {
  if (value === undefined || value === null || value === false)
    node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value))
    node.setAttribute(name, value);
}

let lastId = 0;
export function freshId(stem) {
  lastId += 1;
  return `${stem}-${lastId}`;
}

// A group of facts: [[name, text], ...]; those without a text are left out.
export function facts(pairs) { return updateFacts(el("dl", {class: "facts"}), pairs); }

// Changes texts in place where the names are the same, so that a selection survives.
export function updateFacts(list, pairs) {
  const shown = pairs.filter(([, text]) => text !== undefined && text !== null && text !== "");
  const names = [...list.children].map((item) => item.firstChild.textContent);
  if (names.join() !== shown.map(([name]) => name).join())
    replace(list, shown.map(([name]) => el("div", {}, el("dt", {}, name), el("dd", {}))));
  shown.forEach(([, text], i) => setText(list.children[i].lastChild, text));
  return list;
}

// Remembered in this browser alone; a browser that keeps nothing is no fault.
export function recall(key) {
  try {
    return localStorage.getItem(`dash.${key}`);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(`dash.${key}`, value);
  } catch {
    // nothing is kept
  }
}
