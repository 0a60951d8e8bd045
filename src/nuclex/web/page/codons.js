// The view of `codons`: the protein over its codons, what the model makes of each, and its synonyms to choose from.
import { BLUE, GREY, inkOn, ofProbability, ORANGE } from "./colours.js";
import { drawn, element } from "./dom.js";
import { figure } from "./figure.js";
import { colourBar } from "./legends.js";
import { count, fixed, many, probability } from "./numbers.js";
import { WAYS } from "./predict.js";
import { fileName } from "./saving.js";
import { Strip } from "./strip.js";
import { bars, letters } from "./tracks.js";

const meaning = (one) => (one.amino_acid === "*" ? "stop" : one.amino_acid);

function shares(codons) {
  return {
    height: 20, rows: 1, axis: () => [],
    draw: (from, to, column) => codons.slice(from, to).map((one, n) => {
      const fill = ofProbability(one.share);
      return drawn("g", { transform: `translate(${n * column} 0)` },
        drawn("rect", { width: column - 2, height: 19, rx: 3, fill }),
        drawn("text", {
          x: column / 2 - 1, y: 14, "text-anchor": "middle", "font-size": 12, fill: inkOn(fill), text: one.codon,
          "font-family": "ui-monospace, Menlo, Consolas, 'Liberation Mono', monospace",
        }));
    }),
  };
}

/** The synonyms of one codon with their shares, each a button that puts it in. */
function synonyms(one, number, chosen) {
  const all = [{ codon: one.codon, share: one.share }, ...one.alternatives.filter((other) => other.codon !== one.codon)]
    .sort((first, second) => second.share - first.share);
  return element("div", { class: "synonyms", role: "group", "aria-labelledby": "synonyms-title" },
    element("h4", { id: "synonyms-title", text: `Codon ${count(number + 1)}: ${one.codon}, ${meaning(one)}` }),
    element("p", { class: "quiet", text: all.length === 1 ? "There is no other codon for it."
      : `${many(all.length, "codon")} for ${meaning(one)}; the model's share of each among them at this place.` }),
    element("ul", {}, all.map(({ codon, share }) => {
      const bar = drawn("svg", { width: 120, height: 12, viewBox: "0 0 120 12", "aria-hidden": "true" },
        drawn("rect", { width: 120, height: 12, rx: 2, fill: GREY, "fill-opacity": 0.25 }),
        drawn("rect", { width: 120 * share, height: 12, rx: 2, fill: codon === one.codon ? ORANGE : BLUE }));
      const here = codon === one.codon;
      return element("li", {},
        element("button", {
          type: "button", class: "plain codon", text: codon, disabled: here,
          "aria-label": here ? `${codon}, as it is` : `Put in ${codon}`, on: { click: () => chosen(codon) },
        }), bar, element("span", { text: `${fixed(100 * share, 1)} %${here ? " (as it is)" : ""}` }));
    })));
}

export function view(result, context) {
  const { name, codons } = result;
  const panel = element("div", { class: "panel", "aria-live": "polite" });
  const swap = (n, codon) => {
    context.keep("codons", [n, 0]);
    context.edit(codons[n].start, codons[n].codon, codon, `codon ${n + 1}: ${codons[n].codon} → ${codon}`);
  };
  const open = (n, focus) => {
    context.keep("codons", [n, 0]);
    panel.replaceChildren(synonyms(codons[n], n, (codon) => swap(n, codon)));
    if (focus) (panel.querySelector("button:enabled") ?? panel).focus();
  };
  const most = codons.reduce((found, one) => Math.max(found, one.probability), 0);
  const top = [0.05, 0.1, 0.2, 0.5, 1].find((value) => most <= value) ?? 1;
  const strip = new Strip({
    length: codons.length, wanted: 38, number: (n) => n + 1, start: context.cursor("codons") ?? [0, 0],
    name: `Codons of ${name}. Arrow keys move, Enter shows the synonyms.`,
    legend: colourBar({
      colour: ofProbability, low: 0, high: 1, title: "model's share among the codon's synonyms",
      marks: [[0, "0"], [0.5, "0.5"], [1, "1"]],
    }),
    tracks: [
      letters(codons.map((one) => one.amino_acid), 17),
      shares(codons),
      bars({ values: codons.map((one) => one.usage), low: 0, high: 1, title: "usage", height: 40, colour: () => GREY }),
      bars({
        values: codons.map((one) => one.probability), low: 0, high: top, title: "p", height: 40, colour: () => BLUE,
      }),
    ],
    describe: (n) => `Codon ${count(n + 1)}, ${codons[n].codon} (${meaning(codons[n])}): `
      + `p = ${probability(codons[n].probability)} of all codons, ${fixed(100 * codons[n].share, 1)} % among synonyms; `
      + `this sequence uses it for ${fixed(100 * codons[n].usage, 0)} %. Click or Enter shows the synonyms.`,
    activate: (n) => open(n, true),
  });
  const kept = context.cursor("codons");
  if (kept && kept[0] < codons.length) open(kept[0], false);
  return [figure({
    title: `Codons of ${name}`,
    caption: `${many(codons.length, "codon")} under genetic code ${result.code}, ${WAYS[result.way]}. `
      + `GC ${fixed(100 * result.gc, 1)} %, at third positions ${fixed(100 * result.gc3, 1)} %. `
      + `ln p = ${fixed(result.log_likelihood)} nats. `
      + "Grey bars: share of the codon among its synonyms in this sequence (usage); blue bars: its "
      + "probability of all codons (p). Click a codon for its synonyms.",
    body: element("div", {}, strip.body, panel), picture: () => strip.whole(), file: `${fileName(name)}.codons`,
    rows: () => [["codon_number", "position", "codon", "amino_acid", "probability", "share", "usage", "alternatives"],
      ...codons.map((one, n) => [n + 1, one.start + 1, one.codon, one.amino_acid, one.probability, one.share, one.usage,
        one.alternatives.map((other) => `${other.codon}:${other.share.toFixed(4)}`).join(" ")])],
  })];
}
