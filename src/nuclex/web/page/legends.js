// What colours, lines and shapes mean, as small pictures that are also part of the saved ones.
import { canvas, drawn, written } from "./dom.js";

const STEPS = 48;

/** A bar of colours from `low` to `high`, with `title` (and its unit) behind it. */
export function colourBar({ colour, low, high, marks, title }) {
  const [start, wide, thick] = [20, 240, 10];
  const x = (value) => start + (wide * (value - low)) / (high - low);
  const nodes = [];
  for (let n = 0; n < STEPS; n += 1) {
    const value = low + ((n + 0.5) / STEPS) * (high - low);
    const x0 = start + (n * wide) / STEPS;
    nodes.push(drawn("rect", { x: x0, y: 18, width: wide / STEPS + 0.4, height: thick, fill: colour(value) }));
  }
  nodes.push(written(start, 12, title, { "font-size": 12 }));
  const edge = { stroke: "currentColor", "stroke-opacity": 0.5 };
  nodes.push(drawn("rect", { x: start, y: 18, width: wide, height: thick, ...edge }));
  for (const [value, text] of marks) {
    nodes.push(written(x(value), 40, text, { "text-anchor": "middle", "font-size": 11 }));
  }
  return canvas(Math.max(290, start + title.length * 6.8), 46, { class: "legend", "aria-hidden": "true" }, nodes);
}

/** Names with a sample each: {text, colour, shape, dash}; a shape is "line", "line-rect" or a path in a box of ±6. */
export function key(entries, perLine = 3, wide = 200) {
  const nodes = entries.map((entry, n) => {
    const [x, y] = [14 + (n % perLine) * wide, 14 + Math.floor(n / perLine) * 20];
    const room = Math.floor((wide - 34) / 7);
    const text = entry.text.length > room ? `${entry.text.slice(0, room - 1)}…` : entry.text;
    return drawn("g", { transform: `translate(${x} ${y})` }, sample(entry), written(16, 4, text, { "font-size": 12 }));
  });
  const columns = Math.min(entries.length, perLine);
  const tall = 10 + Math.ceil(entries.length / perLine) * 20;
  return canvas(columns * wide, tall, { class: "legend", "aria-hidden": "true" }, nodes);
}

function sample({ shape, colour, dash }) {
  if (shape === "line" || shape === "line-rect") {
    const mark = shape === "line" ? drawn("circle", { r: 2.5, fill: colour })
      : drawn("rect", { x: -2.5, y: -2.5, width: 5, height: 5, fill: colour });
    return [drawn("line", { x1: -10, x2: 10, stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }), mark];
  }
  return drawn("path", { d: shape, fill: colour });
}
