// The view of `embed`: where the pasted sequences lie among known ones, in the plane that keeps most of the spread.
import { CLASSES, GREY, ofProbability, VERMILLION } from "./colours.js";
import { canvas, drawn, element, written } from "./dom.js";
import { choice, figure } from "./figure.js";
import { colourBar, key } from "./legends.js";
import { count, fixed, many, probability, ticks, tickText } from "./numbers.js";
import { say, tip, untip } from "./tip.js";

const [LEFT, BOTTOM, MARGIN, NARROW, EACH] = [58, 46, 16, 600, 8.2]; // EACH: pixels of a bold letter, at most about
const SHAPES = ["M-4 -4H4V4H-4Z", "M0 -5L5 4H-5Z", "M0 -5.5L5.5 0L0 5.5L-5.5 0Z", "M0 5L5 -4H-5Z",
  "M-1.6 -5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z"];
const DOT = "M-3.6 0A3.6 3.6 0 1 0 3.6 0A3.6 3.6 0 1 0 -3.6 0Z";
const STAR = "M0 -9L2.4 -3L9 -2.8L3.8 1.2L5.6 7.6L0 4L-5.6 7.6L-3.8 1.2L-9 -2.8L-2.4 -3Z";

/** How points look and what the legend says of that. */
function looks(points, by, perLine) {
  const reference = points.filter((point) => point.kind === "reference");
  const pasted = { text: "pasted", colour: VERMILLION, shape: STAR };
  if (by !== "class") {
    const values = points.map((point) => point[by]);
    let [low, high] = [Math.min(...values), Math.max(...values, Math.min(...values) + 1e-9)];
    if (by === "gc") [low, high] = [Math.floor(low * 10) / 10, Math.ceil(high * 10) / 10];
    const colour = (value) => ofProbability((value - low) / (high - low));
    const said = (value) => (by === "gc" ? `${fixed(100 * value, 0)} %` : count(value));
    const marks = [low, (low + high) / 2, high].map((value) => [value, said(value)]);
    const title = by === "gc" ? "G and C (%); ★ pasted" : "length (letters); ★ pasted";
    return {
      of: (point) => ({ colour: colour(point[by]), shape: point.kind === "pasted" ? STAR : DOT }),
      legend: colourBar({ colour, low, high, marks, title }),
    };
  }
  const sizes = new Map();
  for (const point of reference) if (point.class) sizes.set(point.class, (sizes.get(point.class) ?? 0) + 1);
  const names = [...sizes.keys()].sort((one, other) => sizes.get(other) - sizes.get(one)).slice(0, 5);
  const styles = new Map(names.map((name, n) => [name, { colour: CLASSES[n], shape: SHAPES[n] }]));
  const rest = { colour: GREY, shape: DOT };
  const entries = [pasted, ...names.map((name) => ({ text: `${name} (n = ${sizes.get(name)})`, ...styles.get(name) }))];
  const others = reference.filter((point) => !styles.has(point.class)).length;
  if (others) entries.push({ text: `${names.length ? "other" : "reference"} (n = ${others})`, ...rest });
  const of = (point) => (point.kind === "pasted" ? pasted : styles.get(point.class) ?? rest);
  return { of, legend: key(entries, perLine, perLine === 1 ? 320 : 230) };
}

function scale(values, from, to) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || 1) * 0.06;
  const place = (value) => from + ((value - low + room) / (high - low + 2 * room)) * (to - from);
  return { place, all: ticks(low - room, high + room, 5) };
}

function frame(x, y, result, { WIDTH, HEIGHT }) {
  const faint = { stroke: "currentColor", "stroke-opacity": 0.14 };
  const long = WIDTH > NARROW ? "principal component" : "PC";
  const label = (n) => `${long} ${n} (${fixed(100 * (result.explained[n - 1] ?? 0), 1)} % of the variance)`;
  return [
    x.all.map((value) => [
      drawn("line", { x1: x.place(value), x2: x.place(value), y1: MARGIN, y2: HEIGHT - BOTTOM, ...faint }),
      written(x.place(value), HEIGHT - BOTTOM + 16, tickText(value, x.all), { "text-anchor": "middle" }),
    ]),
    y.all.map((value) => [
      drawn("line", { x1: LEFT, x2: WIDTH - MARGIN, y1: y.place(value), y2: y.place(value), ...faint }),
      written(LEFT - 8, y.place(value) + 4, tickText(value, y.all), { "text-anchor": "end" }),
    ]),
    written((LEFT + WIDTH - MARGIN) / 2, HEIGHT - 8, label(1), { "text-anchor": "middle", "font-size": 12 }),
    written(0, 0, label(2), {
      transform: `translate(14 ${(HEIGHT - BOTTOM + MARGIN) / 2}) rotate(-90)`, "text-anchor": "middle",
      "font-size": 12,
    }),
  ].flat(2);
}

/** Names beside the pasted points, left out where they would lie on one another. */
function names(spots, points, { WIDTH }) {
  const taken = [];
  return points.flatMap((point, n) => {
    if (point.kind !== "pasted") return [];
    const text = point.name.length > 22 ? `${point.name.slice(0, 21)}…` : point.name;
    const wide = text.length * EACH;
    const left = spots[n][0] + 12 + wide > WIDTH;
    const box = [left ? spots[n][0] - 12 - wide : spots[n][0] + 12, spots[n][1]];
    if (taken.some(([x, y, w]) => Math.abs(y - box[1]) < 13 && x < box[0] + wide && box[0] < x + w)) return [];
    taken.push([...box, wide]);
    return [
      drawn("rect", {
        x: box[0] - 3, y: box[1] - 8, width: wide + 6, height: 16, rx: 3, fill: "#ffffff", opacity: 0.85,
      }),
      written(left ? box[0] + wide : box[0], box[1] + 4, text, {
        "font-size": 12, "font-weight": 600, fill: "#111111", "text-anchor": left ? "end" : "start",
      }),
    ];
  });
}

export function view(result, context) {
  const { points } = result;
  const narrow = window.innerWidth < NARROW;
  const { WIDTH, HEIGHT } = narrow ? { WIDTH: 340, HEIGHT: 340 } : { WIDTH: 760, HEIGHT: 480 };
  const [x, y] = [scale(points.map((point) => point.x), LEFT, WIDTH - MARGIN),
    scale(points.map((point) => point.y), HEIGHT - BOTTOM, MARGIN)];
  const { of, legend } = looks(points, context.settings.colour, narrow ? 1 : 3);
  const order = points.map((_, n) => n).sort((a, b) => (points[a].kind === "pasted") - (points[b].kind === "pasted"));
  const spots = points.map((point) => [x.place(point.x), y.place(point.y)].map((value) => Number(value.toFixed(1))));
  const marks = order.map((n) => {
    const { colour, shape } = of(points[n]);
    const own = points[n].kind === "pasted";
    return drawn("path", {
      d: shape, fill: colour, "fill-opacity": own ? 1 : 0.8, transform: `translate(${spots[n].join(" ")})`,
      stroke: own ? "#111111" : "currentColor", "stroke-width": own ? 1 : 0.3,
    });
  });
  const size = { WIDTH, HEIGHT };
  const picture = canvas(WIDTH, HEIGHT, { class: "fits", "aria-hidden": "true" },
    frame(x, y, result, size), marks, names(spots, points, size));
  const pasted = points.filter((point) => point.kind === "pasted").length;
  const among = points.length > pasted ? ` among ${count(points.length - pasted)} reference ones` : "";
  return [figure({
    title: "Where the sequences lie",
    caption: `${many(pasted, "pasted sequence")}${among}, by ${result.method} of the model's vectors: near means `
      + `alike to the model. ${result.note}`,
    body: element("div", { class: "lines" }, pointed(picture, points, spots, order), legend), file: "map",
    picture: () => {
      const under = legend.cloneNode(true);
      under.setAttribute("y", HEIGHT);
      under.setAttribute("x", LEFT - 10);
      const main = picture.cloneNode(true);
      const tall = HEIGHT + Number(legend.getAttribute("height")) + 8;
      return canvas(Math.max(WIDTH, Number(legend.getAttribute("width")) + LEFT), tall, {}, main, under);
    },
    rows: () => [["name", "kind", "class", "x", "y", "length", "gc"],
      ...points.map((point) => [point.name, point.kind, point.class, point.x, point.y, point.length, point.gc])],
    controls: [choice({
      legend: "Colour", name: "colour", value: context.settings.colour,
      options: [["class", "Class"], ["gc", "GC"], ["length", "Length"]],
      chosen: (value) => context.set("colour", value),
    })],
  }), nearest(result.nearest)];
}

/** The picture in a frame that answers to the pointer and to arrow keys (point after point, pasted ones first). */
function pointed(picture, points, spots, order) {
  const walk = [...order].reverse();
  const wide = Number(picture.getAttribute("width"));
  let at = 0;
  const ring = drawn("circle", { r: 11, stroke: "currentColor", "stroke-width": 2, "data-cursor": true });
  const words = (n) => `${points[n].name}${points[n].class ? `, ${points[n].class}` : ""} (${points[n].kind}): `
    + `${many(points[n].length, "letter")}, GC ${fixed(100 * points[n].gc, 0)} %`;
  const show = (n) => {
    ring.setAttribute("cx", spots[n][0]);
    ring.setAttribute("cy", spots[n][1]);
    picture.append(ring);
  };
  const atKey = () => {
    const box = picture.getBoundingClientRect();
    const n = walk[at];
    show(n);
    say(words(n));
    tip(words(n), box.left + (spots[n][0] * box.width) / wide, box.top + (spots[n][1] * box.width) / wide);
  };
  const away = () => { ring.remove(); untip(); };
  return element("div", {
    class: "frame", tabindex: 0, role: "application",
    "aria-label": "Map of sequences. Arrow keys go from point to point.",
    on: {
      focus: atKey, blur: away, pointerleave: away,
      pointermove: (event) => {
        const box = picture.getBoundingClientRect();
        const [px, py] = [event.clientX - box.left, event.clientY - box.top].map((value) => (value * wide) / box.width);
        const far = (n) => Math.hypot(spots[n][0] - px, spots[n][1] - py);
        const near = walk.reduce((found, n) => (far(n) < far(found) ? n : found), walk[0]);
        if (far(near) > 16) { away(); return; }
        show(near);
        tip(words(near), event.clientX, event.clientY);
      },
      keydown: (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        at = (at + step + walk.length) % walk.length;
        atKey();
      },
    },
  }, picture);
}

const angle = (cosine) => (1 - cosine < 1e-6 ? "below 10⁻⁶" : probability(1 - cosine)); // cosines have seven digits

function nearest(rows) {
  if (!rows || rows.length === 0) return element("p", { class: "quiet", text: "There is no reference to be near to." });
  return element("section", { class: "picture", "aria-labelledby": "nearest-title" },
    element("h3", { id: "nearest-title", text: "Nearest reference sequences" }),
    element("p", {
      class: "quiet",
      text: "By the angle between the vectors: 1 − cosine is 0 for the same direction. All sequences of a model can "
        + "be near to each other by this measure, so compare the rows, not the numbers of two models. "
        + "(same): the same letters.",
    }),
    element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of nearest references" },
      element("table", {},
        element("thead", {}, element("tr", {},
          ["pasted", "reference", "1 − cosine", "class"].map((text) => element("th", { scope: "col", text })))),
        element("tbody", {}, rows.map((row, n) => element("tr", {},
          [n > 0 && rows[n - 1].name === row.name ? "" : row.name,
            `${row.reference}${row.same ? " (same)" : ""}`, angle(row.cosine), row.class ?? ""]
            .map((text) => element("td", { text }))))))));
}
