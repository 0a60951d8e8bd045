// The colours of pictures: Okabe and Ito's for things, cividis for probabilities, red to blue for differences.
// They are told apart by the colour-blind, are the same on light and dark paper, and never the only difference.

export const BLUE = "#0072B2";
export const ORANGE = "#E69F00";
export const GREEN = "#009E73";
export const VERMILLION = "#D55E00";
export const SKY = "#56B4E9";
export const PURPLE = "#CC79A7";
export const GREY = "#8A939C";
/** For classes, in this order; more classes than colours share GREY as "other". */
export const CLASSES = [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION];
export const LETTERS = { A: GREEN, C: BLUE, G: ORANGE, T: VERMILLION, U: VERMILLION };

// cividis (doi:10.1371/journal.pone.0199239), nine of its steps
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#fee838"];
// ColorBrewer's RdBu, eleven steps
const AROUND = ["#67001f", "#b2182b", "#d6604d", "#f4a582", "#fddbc7", "#f7f7f7",
  "#d1e5f0", "#92c5de", "#4393c3", "#2166ac", "#053061"];

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function between(steps, share) {
  const place = Math.min(Math.max(share, 0), 1) * (steps.length - 1);
  const below = Math.min(Math.floor(place), steps.length - 2);
  const [low, high] = [channels(steps[below]), channels(steps[below + 1])];
  const mixed = low.map((value, n) => Math.round(value + (high[n] - value) * (place - below)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** The colour of a probability from 0 (dark) to 1 (light). */
export function ofProbability(value) {
  return between(CIVIDIS, value);
}

/** The colour of a difference on a scale from -limit (red) over 0 (white) to limit (blue). */
export function ofDifference(value, limit) {
  return between(AROUND, 0.5 + value / (2 * limit));
}

/** Black or white, whichever is read better on this colour. */
export function inkOn(hex) {
  const linear = channels(hex).map((v) => (v / 255 <= 0.03928 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return light > 0.18 ? "#111111" : "#ffffff";
}
