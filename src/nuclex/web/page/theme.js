// Light or dark: as the system says, unless the reader chose otherwise in this browser.
import { byId } from "./dom.js";

const KEY = "nuclex-theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function chosen() {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null; // storage may be forbidden: the system's choice then holds
  }
}

function shown() {
  const choice = chosen();
  if (choice) document.documentElement.dataset.theme = choice;
  else delete document.documentElement.dataset.theme;
  const now = choice ?? (dark.matches ? "dark" : "light");
  const button = byId("theme");
  button.querySelector("span").textContent = now === "dark" ? "Light" : "Dark";
  button.setAttribute("aria-label", `Switch to ${now === "dark" ? "light" : "dark"} colours`);
}

export function themed() {
  byId("theme").addEventListener("click", () => {
    const now = chosen() ?? (dark.matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    try {
      if (next === (dark.matches ? "dark" : "light")) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      document.documentElement.dataset.theme = next;
      return;
    }
    shown();
  });
  dark.addEventListener("change", shown);
  shown();
}
