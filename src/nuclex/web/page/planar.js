// A structure in the plane, from the places that the server laid its letters at: backbone, pairs, letters, numbers.
import { inkOn, ofProbability } from "./colours.js";
import { canvas, drawn, written } from "./dom.js";

const [MARGIN, WIDEST, TALLEST, DETAILED, READABLE] = [34, 860, 620, 1500, 10];

function distance([x, y], [u, v]) {
  return Math.hypot(x - u, y - v);
}

function scaled(layout) {
  const [xs, ys] = [layout.map((spot) => spot[0]), layout.map((spot) => spot[1])];
  const least = (all) => all.reduce((found, value) => Math.min(found, value), Infinity);
  const most = (all) => all.reduce((found, value) => Math.max(found, value), -Infinity);
  const [left, top, wide, tall] = [least(xs), least(ys), most(xs) - least(xs), most(ys) - least(ys)];
  const steps = layout.slice(1).map((spot, n) => distance(spot, layout[n])).sort((a, b) => a - b);
  const step = steps[Math.floor(steps.length / 10)] || 1; // near the least: elsewhere backbone may be drawn out
  const [narrow, broad] = [layout.length > DETAILED ? 1.5 : 9, 22];
  const fits = Math.min((WIDEST * step) / (wide || 1), (TALLEST * step) / (tall || 1));
  const unit = Math.max(narrow, Math.min(broad, fits)); // pixels between neighbours
  const times = unit / step;
  const spots = layout.map(([x, y]) => [MARGIN + (x - left) * times, MARGIN + (y - top) * times]);
  return { unit, spots, size: [wide * times + 2 * MARGIN, tall * times + 2 * MARGIN] };
}

function bond([i, j, p], spots, unit) {
  const far = distance(spots[i], spots[j]) > 2.6 * unit; // a pair that crosses others: the plane has no room for it
  const [[x1, y1], [x2, y2]] = [spots[i], spots[j]];
  return drawn("line", {
    x1: x1.toFixed(1), y1: y1.toFixed(1), x2: x2.toFixed(1), y2: y2.toFixed(1), stroke: "currentColor",
    "stroke-width": far ? 1 : 1 + 2 * p, "stroke-dasharray": far ? "4 3" : null, "stroke-opacity": far ? 0.6 : 0.8,
  });
}

/** Numbers at every tenth letter, pushed away from the neighbours towards the outside. */
function numbers(spots, unit) {
  const every = spots.length > 400 ? 50 : spots.length > 150 ? 20 : 10;
  return spots.flatMap((spot, n) => {
    if (n !== 0 && (n + 1) % every !== 0) return [];
    const [one, other] = [spots[Math.max(0, n - 1)], spots[Math.min(spots.length - 1, n + 1)]];
    let [dx, dy] = [other[1] - one[1], one[0] - other[0]];
    const long = Math.hypot(dx, dy) || 1;
    [dx, dy] = [(dx / long) * unit * 1.25, (dy / long) * unit * 1.25];
    const room = (sx, sy) => {
      const goal = [spot[0] + sx, spot[1] + sy];
      return spots.reduce((least, place) => Math.min(least, distance(place, goal)), Infinity);
    };
    if (room(-dx, -dy) > room(dx, dy)) [dx, dy] = [-dx, -dy];
    if (room(dx, dy) < unit * 0.7) return [];
    return [written((spot[0] + dx).toFixed(1), (spot[1] + dy + 3.5).toFixed(1), n + 1, {
      "text-anchor": "middle", "font-size": Math.max(9, Math.min(11, unit * 0.55)), opacity: 0.8,
    })];
  });
}

function bases(letters, spots, unit, colourOf) {
  return [...letters].map((letter, n) => {
    const fill = colourOf(n);
    const [x, y] = spots[n].map((value) => value.toFixed(1));
    return drawn("g", {},
      drawn("circle", {
        cx: x, cy: y, r: unit * 0.42, fill: fill ?? "#ffffff", stroke: fill ? "currentColor" : "#5b646c",
        "stroke-width": fill ? 0.5 : 1,
      }),
      drawn("text", {
        x, y: (spots[n][1] + unit * 0.2).toFixed(1), "text-anchor": "middle", "font-size": (unit * 0.56).toFixed(1),
        fill: fill ? inkOn(fill) : "#111111", "font-weight": 600, text: letter,
      }));
  });
}

/** {svg, point(x, y) → position or null, place(position), show(position)}; paired letters wear their probability. */
export function planar({ letters, pairs, layout }) {
  const { unit, spots, size } = scaled(layout);
  const chances = new Map(pairs.flatMap(([i, j, p]) => [[i, p], [j, p]]));
  const colourOf = (n) => (chances.has(n) ? ofProbability(chances.get(n)) : null);
  const trail = spots.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  const detailed = letters.length <= DETAILED;
  const middle = [0, 1].map((axis) => spots.reduce((sum, spot) => sum + spot[axis], 0) / spots.length);
  const ends = detailed ? [[0, "5′"], [letters.length - 1, "3′"]] : [];
  const svg = canvas(...size, { "aria-hidden": "true", class: "fits" },
    drawn("path", {
      d: trail, stroke: "currentColor", "stroke-opacity": 0.45, "stroke-width": Math.max(0.8, unit * 0.09),
    }),
    pairs.map((pair) => bond(pair, spots, unit)),
    detailed ? bases(letters, spots, unit, colourOf) : [],
    detailed ? numbers(spots, unit) : [],
    ends.map(([n, text]) => {
      const next = spots[n === 0 ? Math.min(1, spots.length - 1) : n - 1];
      const long = distance(spots[n], next) || 1;
      const meet = letters.length > 2 && distance(spots[0], spots[letters.length - 1]) < 4 * unit; // on a circle
      const from = meet ? middle : next;
      const far = meet ? distance(spots[n], middle) || 1 : long;
      const [x, y] = [0, 1].map((axis) => spots[n][axis] + ((spots[n][axis] - from[axis]) / far) * unit * 1.1);
      const looks = { "text-anchor": "middle", "font-size": 12, "font-weight": 700 };
      return written(x.toFixed(1), (y + 4).toFixed(1), text, looks);
    }));
  svg.style.minWidth = `${Math.round(size[0] * Math.min(1, READABLE / unit))}px`; // a narrow frame scrolls then
  const mark = drawn("g", { "data-cursor": true });
  svg.append(mark);
  const ring = (n, thick) => drawn("circle", {
    cx: spots[n][0], cy: spots[n][1], r: Math.max(unit * 0.6, 5), stroke: "currentColor", "stroke-width": thick,
  });
  return {
    svg,
    point: (x, y) => {
      let [near, least] = [null, Math.max(unit * 0.8, 8)];
      spots.forEach((spot, n) => {
        const far = distance(spot, [x, y]);
        if (far < least) [near, least] = [n, far];
      });
      return near;
    },
    place: (n) => spots[n],
    show: (n, partners) => mark.replaceChildren(...(n === null ? [] : [ring(n, 2.5),
      ...partners.filter(([, p]) => p >= 0.25).map(([other]) => ring(other, 1.5))])),
  };
}
