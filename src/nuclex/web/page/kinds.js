// What can be asked: the words on the cards, and which view draws the answer.
import { view as codons } from "./codons.js";
import { view as compare } from "./compare.js";
import { view as embed } from "./embed.js";
import { view as fold } from "./fold.js";
import { view as mutate } from "./mutate.js";
import { view as predict } from "./predict.js";

/** `single`: the question is about one of the sequences, so another one is a new question. */
export const KINDS = {
  predict: { title: "Predict", words: "What the model expects at each position", view: predict, single: false },
  fold: { title: "Fold", words: "Which letters pair, and how surely", view: fold, single: false },
  embed: { title: "Map", words: "Where sequences lie among known ones", view: embed, single: false },
  mutate: { title: "Mutate", words: "What every single change would do", view: mutate, single: true },
  codons: { title: "Codons", words: "Synonyms for each codon of a CDS", view: codons, single: true },
  compare: { title: "Compare", words: "Two models on the same letters", view: compare, single: false },
};

const CODES = {
  1: "standard", 2: "vertebrate mitochondria", 3: "yeast mitochondria", 4: "mould mitochondria, Mycoplasma",
  5: "invertebrate mitochondria", 6: "ciliates", 9: "echinoderm mitochondria", 10: "Euplotes",
  11: "bacteria, archaea, plastids",
  12: "alternative yeast", 13: "ascidian mitochondria", 25: "SR1, Gracilibacteria",
};

/** NCBI's genetic codes [number, name] of the menu; the one asked for is among them. */
export function codes(wanted) {
  return Object.entries({ ...CODES, [wanted]: CODES[wanted] ?? "NCBI table" });
}
