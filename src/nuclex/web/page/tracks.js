// The tracks that pictures along a sequence are made of: letters, a heat map, bars, lines, and their axes.
import { drawn, written } from "./dom.js";
import { ticks, tickText } from "./numbers.js";

const MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace";

/** The axis at the left of a track: `low` at the bottom, `high` at the top, a title with its unit. */
export function axis(height, low, high, title, wanted = height / 16) {
  const all = ticks(low, high, wanted);
  const y = (value) => height * (1 - (value - low) / (high - low));
  return [
    drawn("line", { x1: -4, x2: -4, y1: 0, y2: height, stroke: "currentColor", "stroke-opacity": 0.5 }),
    all.map((value) => [
      drawn("line", { x1: -8, x2: -4, y1: y(value), y2: y(value), stroke: "currentColor", "stroke-opacity": 0.5 }),
      written(-11, y(value) + 3.5, tickText(value, all), { "text-anchor": "end", "font-size": 10 }),
    ]),
    written(0, 0, title, {
      transform: `translate(-42 ${height / 2}) rotate(-90)`, "text-anchor": "middle", "font-size": 10,
    }),
  ].flat(2);
}

/** The letters (or tokens) of the sequence itself. */
export function letters(texts, size = 13) {
  return {
    height: size + 2,
    axis: () => [],
    draw: (from, to, column) => texts.slice(from, to).map((text, n) => written((n + 0.5) * column, size - 1, text, {
      "text-anchor": "middle", "font-size": Math.min(size, (column / text.length) * 1.45), "font-family": MONO,
      "font-weight": 600,
    })),
  };
}

/** A heat map: `colour(column, row)` of each cell, `marked(column, row)` those that stand in the sequence. */
export function cells({ symbols, size, colour, marked, ink }) {
  return {
    height: symbols.length * size,
    rows: symbols.length,
    axis: () => symbols.map((symbol, row) => written(-8, (row + 0.5) * size + Math.min(size, 12) * 0.34, symbol, {
      "text-anchor": "end", "font-size": Math.min(size + 1, 12), "font-family": MONO,
    })),
    draw: (from, to, column) => {
      const nodes = [];
      const gap = size > 10 ? 1 : 0.5;
      for (let n = from; n < to; n += 1) {
        for (let row = 0; row < symbols.length; row += 1) {
          const [x, y] = [(n - from) * column, row * size];
          const fill = colour(n, row);
          nodes.push(drawn("rect", { x, y, width: column - gap, height: size - gap, fill }));
          if (marked(n, row)) {
            nodes.push(drawn("circle", {
              cx: x + (column - gap) / 2, cy: y + (size - gap) / 2, r: Math.min(size, column) * 0.2, fill: ink(fill),
            }));
          }
        }
      }
      return nodes;
    },
  };
}

/** Bars from 0 up or down, coloured by their value; null has none. */
export function bars({ values, low, high, title, height, colour }) {
  const y = (value) => height * (1 - (value - low) / (high - low));
  return {
    height,
    axis: () => axis(height, low, high, title),
    draw: (from, to, column) => [
      values.slice(from, to).map((value, n) => value !== null && drawn("rect", {
        x: n * column + 0.5, width: Math.max(column - 1.5, 1), y: Math.min(y(value), y(0)),
        height: Math.max(Math.abs(y(value) - y(0)), 0.5), fill: colour(value), stroke: "currentColor",
        "stroke-width": 0.4, "stroke-opacity": 0.5,
      })).filter(Boolean),
      drawn("line", {
        x1: 0, x2: (to - from) * column, y1: y(0), y2: y(0), stroke: "currentColor", "stroke-width": 0.8,
      }),
    ].flat(),
  };
}

/** Several series as lines with points, told apart by colour and by dashes; null is a gap. */
export function lines({ series, low, high, title, height }) {
  const y = (value) => height * (1 - (Math.max(value, low) - low) / (high - low));
  return {
    height,
    axis: () => axis(height, low, high, title),
    draw: (from, to, column) => series.flatMap(({ values, colour, dash, shape }) => {
      const here = values.slice(from, to);
      const places = here.map((value, n) => [n, (n + 0.5) * column, y(value ?? 0)]).filter(([n]) => here[n] !== null);
      const path = places.map(([n, px, py]) => `${n > 0 && here[n - 1] !== null ? "L" : "M"}${px.toFixed(1)} `
        + py.toFixed(1)).join("");
      const points = places.map(([, px, py]) => (shape === "circle"
        ? drawn("circle", { cx: px, cy: py, r: 2.2, fill: colour })
        : drawn("rect", { x: px - 2, y: py - 2, width: 4, height: 4, fill: colour })));
      return [drawn("path", { d: path, stroke: colour, "stroke-width": 1.4, "stroke-dasharray": dash }), points].flat();
    }),
  };
}
