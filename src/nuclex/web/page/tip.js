// What is under the pointer or the keyboard's cursor, in words: beside it for the eye, in a live region for the ear.
import { byId } from "./dom.js";

let said = 0;

/** Show `text` above a place in the window (pixels), or below it where there is no room. */
export function tip(text, x, y) {
  const box = byId("tip");
  box.textContent = text;
  box.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = box;
  box.style.left = `${Math.max(8, Math.min(x + 14, document.documentElement.clientWidth - width - 8))}px`;
  box.style.top = `${y - height - 14 < 4 ? y + 22 : y - height - 14}px`;
}

export function untip() {
  byId("tip").hidden = true;
}

/** Say `text` to a screen reader, after the last of a quick row of keys. */
export function say(text) {
  clearTimeout(said);
  said = setTimeout(() => { byId("readout").textContent = text; }, 60);
}
