// The view of `compare`: two models side by side on the same sequence, letter by letter.
import { BLUE, ofDifference, ORANGE } from "./colours.js";
import { figure } from "./figure.js";
import { key } from "./legends.js";
import { count, fixed, many, signed } from "./numbers.js";
import { around } from "./mutate.js";
import { WAYS } from "./predict.js";
import { fileName } from "./saving.js";
import { Strip } from "./strip.js";
import { bars, letters, lines } from "./tracks.js";

export function view(result, context) {
  const { name, letters: text, a, b, difference, shared } = result.sequences[context.record];
  const [first, second] = result.bundles.map((id) => context.bundle(id).name);
  const [one, other] = [a.own, b.own].map((row) => row.map((p) => (p === null ? null : Math.log(Math.max(p, 1e-12)))));
  const low = [...one, ...other].reduce((least, value) => Math.min(least, Math.max(Math.floor(value ?? 0), -12)), -1.5);
  const told = (value, text = fixed) => (value === null ? "not told" : text(value));
  const spread = result.bundles.some((id) => context.bundle(id).tokenizer !== "nucleotide");
  const limit = around(difference);
  const strip = new Strip({
    length: text.length, wanted: 15, number: (n) => n + 1,
    name: `Two models on ${name}. Arrow keys move from letter to letter.`,
    legend: key([
      { text: `a: ${first}`, shape: "line", colour: BLUE, dash: null },
      { text: `b: ${second}`, shape: "line-rect", colour: ORANGE, dash: "4 2" },
    ], window.innerWidth < 600 ? 1 : 2, 320),
    tracks: [
      lines({
        low, high: 0, title: "ln p (nats)", height: 90,
        series: [{ values: one, colour: BLUE, dash: null, shape: "circle" },
          { values: other, colour: ORANGE, dash: "4 2", shape: "rect" }],
      }),
      letters([...text]),
      bars({
        values: difference, low: -limit, high: limit, title: "b − a (nats)", height: 60,
        colour: (value) => ofDifference(value, limit),
      }),
    ],
    describe: (n) => `Position ${count(n + 1)}, ${text[n]}: a ${told(one[n])}, b ${told(other[n])}, `
      + `b − a = ${told(difference[n], signed)} (ln p in nats)`,
  });
  const better = difference.filter((value) => value !== null && value > 0).length;
  const three = (value) => fixed(value, 3);
  return [figure({
    title: `Two models on ${name}`,
    caption: `ln p of each of ${many(text.length, "letter")}, ${WAYS[result.way]}. `
      + (spread ? "What a longer token has is spread evenly over its letters. " : "")
      + (shared < text.length ? `${many(text.length - shared, "letter")} outside of whole tokens left out. ` : "")
      + `Mean per letter: a ${told(a.per_letter, three)}, b ${told(b.per_letter, three)} nats; `
      + `b finds ${count(better)} of ${count(shared)} letters likelier than a does. `
      + "Nearer to 0 is likelier; bars above 0 (blue) are for b, below (red) for a.",
    body: strip.body, picture: () => strip.whole(), file: `${fileName(name)}.compare`,
    rows: () => [["position", "letter", "p_a", "p_b", "ln_p_b_minus_a"],
      ...difference.map((value, n) => [n + 1, text[n], a.own[n], b.own[n], value])],
  })];
}
