// Base pairs as arcs over the sequence: above the line what was chosen, below it all that is probable.
import { ofProbability } from "./colours.js";
import { canvas, drawn, written } from "./dom.js";
import { count, ticks } from "./numbers.js";

const [MARGIN, MIDDLE, TALLEST, STEPS] = [24, 30, 170, 20];

/** Pixels a letter: readable while there is room, down to what keeps long ones at some thousand pixels. */
export function perLetter(length) {
  if (length <= 100) return 11;
  return length <= 300 ? 9 : Math.max(0.6, Math.min(9, 2700 / length));
}

function arc([i, j], each, rise, up) {
  const [from, to] = [(i + 0.5) * each, (j + 0.5) * each];
  const radii = `${((to - from) / 2).toFixed(1)} ${((j - i) * rise).toFixed(1)}`;
  return `M${from.toFixed(1)} 0A${radii} 0 0 ${up ? 1 : 0} ${to.toFixed(1)} 0`;
}

/** One path for all arcs of a colour, faint colours first, so that thousands of pairs are a few dozen nodes. */
function bundles(pairs, each, rise, up) {
  const byStep = Array.from({ length: STEPS }, () => []);
  for (const pair of pairs) byStep[Math.min(STEPS - 1, Math.floor(pair[2] * STEPS))].push(arc(pair, each, rise, up));
  return byStep.flatMap((paths, step) => {
    if (paths.length === 0) return [];
    const stroke = ofProbability((step + 0.5) / STEPS);
    const thick = up ? 2 : 0.8 + (1.6 * step) / STEPS;
    const d = paths.join("");
    return [drawn("path", { d, stroke: "currentColor", "stroke-opacity": 0.35, "stroke-width": thick + 1 }),
      drawn("path", { d, stroke, "stroke-width": thick })];
  });
}

function farthest(pairs) {
  return pairs.reduce((most, [i, j]) => Math.max(most, j - i), 0);
}

/** {svg, point(x in pixels) → position or null, show(position)}. */
export function arcs({ letters, pairs, probable, below: said }) {
  const each = perLetter(letters.length);
  const most = Math.max(farthest(pairs), farthest(probable), 1);
  const rise = Math.min(each / 2, TALLEST / most);
  const [above, below] = [farthest(pairs) * rise + 26, farthest(probable) * rise + 12];
  const wide = letters.length * each;
  const last = letters.length;
  const spots = ticks(1, last, Math.max(2, wide / 90)).filter((value) => value >= 1 && value <= last);
  const faint = { opacity: 0.8 };
  const svg = canvas(wide + 2 * MARGIN, above + MIDDLE + below, { "aria-hidden": "true" },
    written(MARGIN, 12, `chosen pairs (n = ${count(pairs.length)})`, faint),
    written(MARGIN, above + MIDDLE + below - 3, `${said} (n = ${count(probable.length)})`, faint),
    drawn("g", { transform: `translate(${MARGIN} ${above})` }, bundles(pairs, each, rise, true)),
    drawn("g", { transform: `translate(${MARGIN} ${above + MIDDLE})` }, bundles(probable, each, rise, false)),
    drawn("g", { transform: `translate(${MARGIN} ${above})` },
      spots.map((value) => written((value - 0.5) * each, MIDDLE - 4, Math.round(value), {
        "text-anchor": "middle", "font-size": 9, opacity: 0.75,
      })),
      each < 8 ? drawn("line", { x1: 0, x2: wide, y1: 10, y2: 10, stroke: "currentColor", "stroke-width": 2 })
        : [...letters].map((letter, n) => written((n + 0.5) * each, 14, letter, {
          "text-anchor": "middle", "font-size": 12, "font-weight": 600,
          "font-family": "ui-monospace, Menlo, Consolas, monospace",
        }))));
  const mark = drawn("g", { "data-cursor": true });
  svg.append(mark);
  const line = (n, strong) => drawn("rect", {
    x: MARGIN + n * each, y: above, width: Math.max(each, 2), height: MIDDLE - 12, rx: 2, stroke: "currentColor",
    "stroke-width": strong ? 2 : 1.2,
  });
  return {
    svg,
    point: (x) => {
      const n = Math.floor((x - MARGIN) / each);
      return n >= 0 && n < letters.length ? n : null;
    },
    place: (n) => [MARGIN + (n + 0.5) * each, above + MIDDLE],
    show: (n, partners) => mark.replaceChildren(...(n === null ? [] : [line(n, true),
      ...partners.flatMap(([other, p]) => {
        const ends = n < other ? [n, other] : [other, n];
        return [line(other, false), drawn("path", {
          d: arc(ends, each, rise, false), transform: `translate(${MARGIN} ${above + MIDDLE})`, stroke: "currentColor",
          "stroke-width": 1 + 2 * p,
        })];
      })])),
  };
}
