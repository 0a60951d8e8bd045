// A sequence logo: at each position the symbols stacked by probability, the likeliest on top.
import { LETTERS, GREY } from "./colours.js";
import { drawn } from "./dom.js";
import { axis } from "./tracks.js";

// Letters as outlines in a box of 100 × 100, so that a logo looks the same whatever fonts there are.
const GLYPHS = {
  A: "M0 100L36 0H64L100 100H76L69 78H31L24 100ZM37 59H63L50 20Z",
  C: "M100 33C95 12 76 0 51 0C20 0 0 20 0 50S20 100 51 100C76 100 95 88 100 66H76C72 76 64 81 52 81"
    + "C35 81 24 69 24 50S35 19 52 19C64 19 72 24 76 33Z",
  G: "M99 33C94 12 76 0 51 0C20 0 0 20 0 50S20 100 51 100C66 100 77 94 82 86V98H100V46H52V64H78"
    + "C76 75 66 81 53 81C35 81 24 69 24 50S35 19 53 19C64 19 72 24 75 33Z",
  T: "M0 0H100V20H61V100H39V20H0Z",
  U: "M0 0H23V60C23 73 34 81 50 81S77 73 77 60V0H100V60C100 85 80 100 50 100S0 85 0 60Z",
  N: "M0 100V0H25L76 66V0H100V100H76L24 33V100Z",
};
const SMALLEST = 0.6; // pixels; what is lower is not drawn

function glyph(text, x, y, width, height) {
  const each = width / text.length;
  return [...text].map((letter, n) => {
    const place = `translate(${(x + n * each).toFixed(2)} ${y.toFixed(2)}) `
      + `scale(${((each - 0.8) / 100).toFixed(4)} ${(height / 100).toFixed(4)})`;
    const colour = LETTERS[letter] ?? GREY;
    if (letter in GLYPHS) {
      return drawn("path", { d: GLYPHS[letter], transform: place, fill: colour, "fill-rule": "evenodd" });
    }
    return drawn("text", {
      transform: place, y: 100, "font-size": 138, textLength: 100, lengthAdjust: "spacingAndGlyphs", fill: colour,
      "font-weight": 700, text: letter,
    });
  });
}

/**
 * The track of a logo over `probabilities` (T rows of V). `kind` "bits": a stack is as high as the information there,
 * log2 V minus the entropy; "probability": every stack has the same height.
 */
export function logo({ symbols, probabilities, bits, kind, height }) {
  const most = kind === "bits" ? Math.log2(symbols.length) : 1;
  const draw = (from, to, column) => {
    const nodes = [];
    for (let n = from; n < to; n += 1) {
      const tall = kind === "bits" ? Math.max(bits[n], 0) : 1;
      const order = probabilities[n].map((p, symbol) => [p, symbol]).sort((one, other) => other[0] - one[0]);
      let y = height - (tall / most) * height;
      for (const [p, symbol] of order) {
        const size = ((p * tall) / most) * height;
        if (size < SMALLEST) break;
        nodes.push(...glyph(symbols[symbol], (n - from) * column, y, column, size - 0.3));
        y += size;
      }
    }
    return nodes;
  };
  return { height, draw, axis: () => axis(height, 0, most, kind === "bits" ? "bits" : "probability", 2) };
}
