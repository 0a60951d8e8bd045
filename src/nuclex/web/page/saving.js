// What a reader takes home: a picture as an SVG file that needs nothing else, numbers as CSV, text on the clipboard.
import { drawn } from "./dom.js";

const EDGE = 12; // pixels of white around a saved picture

/** Hand a text to the browser as a file. */
export function saved(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** An SVG file: black ink on white paper, with its title. */
export function svgText(picture, title) {
  const copy = picture.cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("color", "#1b1f24");
  for (const name of ["class", "style", "tabindex", "role", "aria-hidden", "aria-label"]) copy.removeAttribute(name);
  for (const mark of copy.querySelectorAll("[data-cursor]")) mark.remove();
  const [width, height] = ["width", "height"].map((name) => Number(copy.getAttribute(name)) + 2 * EDGE);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.setAttribute("viewBox", `${-EDGE} ${-EDGE} ${width} ${height}`);
  copy.prepend(drawn("title", { text: title }),
    drawn("rect", { x: -EDGE, y: -EDGE, width, height, fill: "#ffffff" }));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
}

function field(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

/** Rows (the first are the names) as CSV. */
export function csvText(rows) {
  return rows.map((row) => row.map(field).join(",")).join("\n") + "\n";
}

/** A name that is safe as a file name. */
export function fileName(name) {
  return name.replace(/[^\w.-]+/g, "_").slice(0, 60) || "sequence";
}

/** Put text on the clipboard; false where the browser forbids it. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
