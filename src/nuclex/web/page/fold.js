// The view of `fold`: the structure in the plane, as arcs and as text; one cursor goes through all of them.
import { arcs } from "./arcs.js";
import { ofProbability } from "./colours.js";
import { canvas, element } from "./dom.js";
import { figure } from "./figure.js";
import { colourBar } from "./legends.js";
import { count, fixed, many, probability } from "./numbers.js";
import { planar } from "./planar.js";
import { copied, fileName } from "./saving.js";
import { say, tip, untip } from "./tip.js";

// what p is, and from which p on pairs are listed below the line
const WAYS = {
  head: { from: "by the model's own structure head", word: "probability", p: "probability of the pair", least: 0.05 },
  couplings: {
    from: "from what the model couples, learned without structures", word: "coupling", p: "strength of the coupling",
    least: 0.5,
  },
};

/** For each position its partners [position, probability], the likeliest first. */
function partnersOf(sequence) {
  const all = Array.from({ length: sequence.letters.length }, () => new Map());
  for (const [i, j, p] of [...sequence.probable, ...sequence.pairs]) {
    all[i].set(j, p);
    all[j].set(i, p);
  }
  return all.map((found) => [...found].sort((one, other) => other[1] - one[1]));
}

function words(sequence, partners, chosen, n, sign) {
  const base = (at) => `${sequence.letters[at]}${at + 1}`;
  const mate = chosen.get(n);
  const first = mate === undefined ? `${base(n)} is unpaired`
    : `${base(n)} pairs with ${base(mate)}, ${sign} ${probability(partners[n].find(([other]) => other === mate)[1])}`;
  const others = partners[n].filter(([other]) => other !== mate).slice(0, 3);
  if (others.length === 0) return `${first}.`;
  return `${first}; also possible: ${others.map(([other, p]) => `${base(other)} (${probability(p)})`).join(", ")}.`;
}

/** A frame around a drawing that answers to the pointer and the arrow keys, and moves the cursor of all drawings. */
function pointed(drawing, name, cursor) {
  const frame = element("div", { class: "frame", tabindex: 0, role: "application", "aria-label": name }, drawing.svg);
  const spot = (n) => {
    const box = drawing.svg.getBoundingClientRect();
    const scale = box.width / Number(drawing.svg.getAttribute("width"));
    const [x, y] = drawing.place(n);
    return [box.left + x * scale, box.top + y * scale, x * scale];
  };
  const go = (n) => {
    cursor.move(n);
    frame.scrollLeft = Math.max(0, spot(n)[2] - frame.clientWidth / 2);
    const [x, y] = spot(n);
    tip(cursor.words(n), x, y);
    say(cursor.words(n));
  };
  frame.addEventListener("pointermove", (event) => {
    const box = drawing.svg.getBoundingClientRect();
    const scale = Number(drawing.svg.getAttribute("width")) / box.width;
    const n = drawing.point((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
    if (n === null) { cursor.leave(); untip(); return; }
    cursor.show(n);
    tip(cursor.words(n), event.clientX, event.clientY);
  });
  frame.addEventListener("pointerleave", () => { cursor.leave(); untip(); });
  frame.addEventListener("focus", () => { if (frame.matches(":focus-visible")) go(cursor.at); });
  frame.addEventListener("blur", () => { cursor.leave(); untip(); });
  frame.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -1e9, End: 1e9 }[event.key];
    if (step) go(Math.min(Math.max(cursor.at + step, 0), cursor.last));
    else if (event.key === "Enter" && cursor.mate(cursor.at) !== undefined) go(cursor.mate(cursor.at));
    else return;
    event.preventDefault();
  });
  return frame;
}

function cursorOf(sequence, drawings, sign) {
  const partners = partnersOf(sequence);
  const chosen = new Map(sequence.pairs.flatMap(([i, j]) => [[i, j], [j, i]]));
  const show = (n) => drawings.forEach((drawing) => drawing.show(n, n === null ? [] : partners[n]));
  const cursor = {
    at: 0, last: sequence.letters.length - 1, show, mate: (n) => chosen.get(n),
    move: (n) => { cursor.at = n; show(n); },
    leave: () => show(null),
    words: (n) => words(sequence, partners, chosen, n, sign),
  };
  return cursor;
}

/** How sure the model is of the pairs it drew, and what that means where it is not. */
function surely({ pairs }, way) {
  if (pairs.length === 0) return "";
  const mean = pairs.reduce((sum, [, , p]) => sum + p, 0) / pairs.length;
  const few = way.word === "probability" && mean < 0.5 ? ", so it expects fewer than half of them to be right" : "";
  return ` Mean ${way.word} of the pairs: ${probability(mean)}${few}.`;
}

/** The structure as text, with a button that copies it and the files of the server. */
function text(sequence, context) {
  const dots = sequence.dot_bracket ?? "(more layers of crossing pairs than there are kinds of brackets)";
  const both = `>${sequence.name}\n${sequence.letters}\n${dots}\n`;
  const button = element("button", { type: "button", class: "plain", text: "Copy" });
  button.addEventListener("click", async () => {
    button.textContent = (await copied(both)) ? "Copied" : "Select the text and copy it";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  const links = element("span", { class: "downloads" });
  context.files().then((files) => links.append(...files
    .filter((file) => file.name.startsWith(`${String(context.record + 1).padStart(4, "0")}-`))
    .map((file) => [file, `Download ${file.name.match(/(\.arcs)?\.\w+$/)[0]}`])
    .map(([file, text]) => element("a", {
      class: "plain", href: context.fileAddress(file.name), download: file.name, title: file.about,
      text, "aria-label": `${text}: ${file.name}`,
    }))), () => {}); // a job that the server has forgotten has no files; the pictures' own downloads still work
  return element("section", { class: "picture", "aria-labelledby": "dots-title" },
    element("h3", { id: "dots-title", text: "The structure as text" }),
    element("div", { class: "tools" }, button, links),
    element("pre", {
      tabindex: 0, role: "region", "aria-label": "Letters and dot-bracket",
      text: `${sequence.letters}\n${dots}`,
    }));
}

function under(svg, legend) {
  const [main, below] = [svg.cloneNode(true), legend.cloneNode(true)];
  const [wide, tall] = [Number(svg.getAttribute("width")), Number(svg.getAttribute("height"))];
  below.setAttribute("y", tall);
  below.setAttribute("x", 16);
  return canvas(Math.max(wide, 290), tall + 54, {}, main, below);
}

export function view(result, context) {
  const sequence = result.sequences[context.record];
  const bar = (title) => colourBar({
    colour: ofProbability, low: 0, high: 1, title,
    marks: [[0, "0"], [0.25, "0.25"], [0.5, "0.5"], [0.75, "0.75"], [1, "1"]],
  });
  const way = WAYS[result.way];
  const below = `${result.way === "head" ? "pairs with p" : "couplings"} ≥ ${way.least}`;
  const [plane, bows] = [planar(sequence), arcs({ ...sequence, below })];
  const cursor = cursorOf(sequence, [plane, bows], result.way === "head" ? "p =" : "coupling");
  const [first, second] = [bar(`${way.p}; white: unpaired`), bar(way.p)];
  const paired = 2 * sequence.pairs.length;
  const rows = (pairs) => () => [["position_i", "position_j", "letter_i", "letter_j",
    result.way === "head" ? "probability" : "coupling"],
    ...pairs.map(([i, j, p]) => [i + 1, j + 1, sequence.letters[i], sequence.letters[j], p])];
  const base = fileName(sequence.name);
  const framed = (drawing, what) => pointed(
    drawing, `${what} of ${sequence.name}. Arrow keys move along it, Enter goes to the partner.`, cursor,
  );
  return [figure({
    title: `Structure of ${sequence.name}`,
    caption: `${many(sequence.letters.length, "letter")}, ${many(sequence.pairs.length, "pair")} `
      + `(${fixed((100 * paired) / sequence.letters.length, 0)} % of the letters), `
      + `${way.from}. ${result.note}${surely(sequence, way)}`,
    body: element("div", { class: "lines" }, framed(plane, "Drawing"), first),
    picture: () => under(plane.svg, first), file: `${base}.structure`, rows: rows(sequence.pairs),
  }), figure({
    title: `Pairs of ${sequence.name} as arcs`,
    caption: `Position along the sequence from left to right (letters, n = ${count(sequence.letters.length)}). `
      + `Above: the pairs that were chosen. Below: every pair with a ${way.word} of at least ${way.least}.`,
    body: element("div", { class: "lines" }, framed(bows, "Arcs"), second),
    picture: () => under(bows.svg, second), file: `${base}.arcs`, rows: rows(sequence.probable),
  }), text(sequence, context)];
}
