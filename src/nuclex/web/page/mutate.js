// The view of `mutate`: how each substitution changes how likely the model finds the sequence; a click makes it.
import { inkOn, ofDifference } from "./colours.js";
import { figure } from "./figure.js";
import { colourBar } from "./legends.js";
import { count, fixed, many, signed } from "./numbers.js";
import { blind, WAYS } from "./predict.js";
import { fileName } from "./saving.js";
import { Strip } from "./strip.js";
import { bars, cells, letters } from "./tracks.js";

/** The largest absolute value, rounded up to a half: the ends of a scale that is centred at 0. */
export function around(values) {
  const most = values.reduce((found, value) => Math.max(found, Math.abs(value ?? 0)), 0);
  return Math.max(0.5, Math.ceil(most * 2) / 2);
}

/** The bar of a scale centred at 0. */
export function differenceBar(limit, title) {
  return colourBar({
    colour: (value) => ofDifference(value, limit), low: -limit, high: limit, title,
    marks: [-limit, -limit / 2, 0, limit / 2, limit].map((value) => [value, signed(value, limit < 2 ? 2 : 1)]),
  });
}

function ranked(result) {
  const all = result.delta.flatMap((row, n) => row.map((value, symbol) => ({ n, symbol, value })));
  return all.filter((one) => one.value !== null).sort((one, other) => other.value - one.value);
}

export function view(result, context) {
  const { name, letters: text, symbols, delta } = result;
  const limit = around(delta.flat());
  const spelled = (n, row) => `${text[n]}${n + 1}${symbols[row]}`;
  const mean = delta.map((row) => {
    const there = row.filter((value) => value !== null);
    return there.reduce((sum, value) => sum + value, 0) / Math.max(there.length, 1);
  });
  const most = around(mean);
  const strip = new Strip({
    length: text.length, wanted: 15, number: (n) => n + 1, start: context.cursor("mutate") ?? [0, 0],
    name: `Heat map of substitutions in ${name}. Arrow keys move, Enter changes the sequence.`,
    legend: differenceBar(limit, "Δ ln p (nats): red less likely, blue more likely; ● as it is"),
    tracks: [
      bars({
        values: mean, low: -most, high: most, title: "mean (nats)", height: 54,
        colour: (value) => ofDifference(value, limit),
      }),
      cells({
        symbols, size: 19, ink: inkOn, marked: (n, row) => delta[n][row] === null,
        colour: (n, row) => (delta[n][row] === null ? "#d9dcdf" : ofDifference(delta[n][row], limit)),
      }),
      letters([...text]),
    ],
    describe: (n, row) => {
      if (row === null) return `Position ${count(n + 1)}, ${text[n]}: mean Δ ln p = ${signed(mean[n])} nats`;
      if (delta[n][row] === null) return `Position ${count(n + 1)}: ${text[n]} as it is`;
      return `${spelled(n, row)}: Δ ln p = ${signed(delta[n][row])} nats. Click or Enter changes the sequence.`;
    },
    activate: (n, row) => {
      if (row === null || delta[n][row] === null) return;
      context.keep("mutate", [n, row]);
      context.edit(n, text[n], symbols[row], spelled(n, row));
    },
  });
  const each = result.log_likelihood / text.length;
  const order = ranked(result);
  const listed = (some) => some.map((one) => `${spelled(one.n, one.symbol)} (${signed(one.value)})`).join(", ");
  const [best, worst] = [listed(order.slice(0, 3)), listed(order.slice(-3).reverse())];
  return [figure({
    title: `What each substitution does to ${name}`,
    caption: `${many(order.length, "substitution")} of ${many(text.length, "letter")}: ln p with it minus ln p `
      + `without, in nats; ${WAYS[result.way]}. Above 0 the model finds the changed sequence likelier; what it `
      + `does in a cell was not measured. ln p of the sequence = ${fixed(result.log_likelihood)} nats, `
      + `${fixed(each, 3)} per letter${blind(each, 4, "letter")}. `
      + `Likeliest: ${best}. Least likely: ${worst}. Click a cell to make the change.`,
    body: strip.body, picture: () => strip.whole(), file: `${fileName(name)}.mutate`,
    rows: () => [["position", "from", "to", "delta_ln_p_nats"],
      ...delta.flatMap((row, n) => row.map((value, symbol) => [n + 1, text[n], symbols[symbol], value]))
        .filter((row) => row[3] !== null)],
  })];
}
