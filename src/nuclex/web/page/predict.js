// The view of `predict`: what the model expects at every position, as a logo and a heat map of probabilities.
import { inkOn, ofProbability } from "./colours.js";
import { choice, figure } from "./figure.js";
import { colourBar } from "./legends.js";
import { logo } from "./logo.js";
import { count, fixed, many, probability } from "./numbers.js";
import { fileName } from "./saving.js";
import { Strip } from "./strip.js";
import { cells, letters } from "./tracks.js";

export const WAYS = {
  masked: "each one hidden in turn, the rest in sight",
  next: "each one foretold from those before it",
};

/** A word where a model finds the sequence less likely than who takes all `n` symbols for alike. */
export function blind(mean, n, what) {
  const alike = -Math.log(n);
  return mean < alike
    ? `: below the ${fixed(alike, 3)} of taking all ${n} ${what}s for alike, so it does not know such sequences` : "";
}

export function view(result, context) {
  const chosen = result.sequences[context.record];
  const { symbols, tokens, probabilities, own, information_bits: bits } = chosen;
  const texts = tokens.map((token) => token.text);
  const wide = Math.max(...texts.map((text) => text.length)) > 1;
  const most = probabilities.reduce((found, row) => row.reduce((high, p) => Math.max(high, p), found), 0);
  const top = symbols.length <= 8 ? 1 : [0.05, 0.1, 0.2, 0.5, 1].find((value) => most <= value) ?? 1; // of the colours
  const size = symbols.length > 24 ? 9 : symbols.length > 8 ? 12 : 16;
  const strip = new Strip({
    length: tokens.length, wanted: wide ? 34 : 15, number: (n) => tokens[n].start + 1,
    start: [0, Math.max(0, symbols.indexOf(texts[0]))],
    name: `Logo and heat map of ${chosen.name}. Arrow keys move from cell to cell.`,
    legend: colourBar({
      colour: (p) => ofProbability(p / top), low: 0, high: top, title: "probability (● what the sequence has)",
      marks: [0, 0.25, 0.5, 0.75, 1].map((share) => [share * top, String(Number((share * top).toPrecision(3)))]),
    }),
    tracks: [
      logo({ symbols, probabilities, bits, kind: context.settings.logo, height: 66 }),
      cells({
        symbols, size, ink: inkOn, colour: (n, row) => ofProbability(probabilities[n][row] / top),
        marked: (n, row) => symbols[row] === texts[n],
      }),
      letters(texts),
    ],
    describe: (n, row) => {
      const here = `Position ${count(tokens[n].start + 1)}, ${texts[n]}: p = ${probability(own[n])}, `
        + `information ${fixed(bits[n])} bits`;
      return row === null || symbols[row] === texts[n] ? here
        : `Position ${count(tokens[n].start + 1)}, ${symbols[row]} in place of ${texts[n]}: `
          + `p = ${probability(probabilities[n][row])}`;
    },
  });
  const what = wide ? "token" : "letter";
  const mean = chosen.log_likelihood / tokens.length;
  return [figure({
    title: `What the model expects in ${chosen.name}`,
    caption: `${many(tokens.length, what)}, ${WAYS[result.way]}. Tall stacks are where the model is sure, `
      + "right or wrong. "
      + `Together ln p = ${fixed(chosen.log_likelihood)} nats, `
      + `${fixed(mean, 3)} per ${what}${blind(mean, symbols.length, what)}.`,
    body: strip.body, picture: () => strip.whole(), file: `${fileName(chosen.name)}.predict`,
    rows: () => [["position", what, "p_own", "information_bits", ...symbols.map((symbol) => `p_${symbol}`)],
      ...tokens.map((token, n) => [token.start + 1, token.text, own[n], bits[n], ...probabilities[n]])],
    controls: [choice({
      legend: "Height of the logo", name: "logo", value: context.settings.logo,
      options: [["bits", "Information"], ["probability", "Probability"]],
      chosen: (value) => context.set("logo", value),
    })],
  })];
}
