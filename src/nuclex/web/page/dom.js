// Elements of the page and of its pictures, made from names, attributes and text alone: nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "text") {
      node.textContent = value;
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element; `on` holds listeners, `text` the text, the rest are attributes (null and false leave one out). */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, in the same way. Its looks are attributes, so a saved picture needs no style sheet. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Text inside a picture. */
export function written(x, y, text, attributes = {}) {
  return drawn("text", { x, y, fill: "currentColor", "font-size": 11, ...attributes, text });
}

/** A root for a picture of this size in pixels. */
export function canvas(width, height, attributes = {}, ...children) {
  const looks = { "font-family": "system-ui, 'Segoe UI', 'Liberation Sans', Arial, sans-serif", fill: "none" };
  return drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, ...looks, ...attributes }, ...children);
}

/** The element with this id, which index.html has. */
export function byId(id) {
  return document.getElementById(id);
}
