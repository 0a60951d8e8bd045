// The page starts here: what the server can do is asked once, then every question is a form, a job and a picture.
import * as api from "./api.js";
import { byId, element } from "./dom.js";
import { asFasta, records } from "./fasta.js";
import * as input from "./input.js";
import { count } from "./numbers.js";
import { ask, remembered, stop } from "./runner.js";
import { copied } from "./saving.js";
import * as permalink from "./settings.js";
import { themed } from "./theme.js";
import { say } from "./tip.js";
import { codes, KINDS } from "./kinds.js";

let about = null;
let settings = { ...permalink.DEFAULTS };
const cursors = new Map(); // where the cursor of a picture stood when a click changed the sequence

const sentence = (reason) => (reason ? reason[0].toUpperCase() + reason.slice(1) : null);
const bundleOf = (id) => about.bundles.find((bundle) => bundle.id === id);

/** Take settings over, into the form and (unless they come from there) the address. */
function settle(changes, inAddress = true) {
  settings = { ...settings, ...changes };
  const hash = permalink.written(settings);
  if (inAddress && hash !== window.location.hash) window.history.pushState(null, "", hash);
  const bundle = bundleOf(settings.bundle) ?? about.bundles[0];
  settings.bundle = bundle.id;
  for (const radio of document.querySelectorAll("#kinds input")) {
    const reason = bundle.can[radio.value] ?? null;
    radio.checked = radio.value === settings.do;
    const card = radio.closest(".kind");
    card.classList.toggle("cannot", reason !== null);
    card.querySelector("span").textContent = sentence(reason) ?? KINDS[radio.value].words;
  }
  byId("run").textContent = KINDS[settings.do].title;
  document.title = `${KINDS[settings.do].title} · nuclex`;
  byId("bundle").value = bundle.id;
  byId("bundle-choice").hidden = about.bundles.length < 2 || settings.do === "compare";
  byId("code-choice").hidden = settings.do !== "codons";
  byId("code").value = settings.code;
  doubtful(settings.do === "compare" ? about.bundles : [bundle]);
  byId("model").textContent = `${bundle.name} · ${bundle.architecture} · ${count(bundle.parameters)} parameters`;
}

/** What speaks against the models that are asked, as their own records say. */
function doubtful(bundles) {
  const all = bundles.flatMap((bundle) => bundle.doubts
    .map((text) => (bundles.length > 1 ? `Model ${bundle.id}: ${text}` : text)));
  byId("doubts").replaceChildren(...all.map((text) => element("p", { text })));
  byId("doubts").hidden = all.length === 0;
}

function question() {
  return { settings, fasta: asFasta(input.text()) };
}

function show(found) {
  const single = KINDS[found.kind].single;
  const names = single ? records(input.text()).map((record) => record.name)
    : (found.result.sequences ?? []).map((one) => one.name);
  const most = Math.max(names.length, 1);
  const at = Math.min(Number(settings.record), most);
  byId("record-choice").hidden = names.length < 2;
  byId("record").replaceChildren(...names.map((name, n) => element("option", {
    value: String(n + 1), text: `${n + 1} · ${name}`, selected: n + 1 === at,
  })));
  const context = {
    settings, record: at - 1, bundle: bundleOf,
    set: (name, value) => { settle({ [name]: value }); show(found); refocus(`input[name="${name}"]:checked`); },
    edit: (start, was, letters, label) => {
      if (input.edit(at - 1, start, [was, letters], label)) run(false);
    },
    keep: (kind, cell) => cursors.set(kind, cell), cursor: (kind) => cursors.get(kind),
    files: () => api.files(found.job), fileAddress: (name) => api.fileAddress(found.job, name),
  };
  byId("result-head").hidden = false;
  byId("result-title").textContent = `Result: ${KINDS[found.kind].title}`;
  input.changes(() => run(false));
  byId("pictures").replaceChildren(...KINDS[found.kind].view(found.result, context));
  byId("pictures").dataset.kind = found.kind;
  linkable();
}

function refocus(selector) {
  byId("pictures").querySelector(selector)?.focus();
}

function clear() {
  byId("pictures").replaceChildren();
  delete byId("pictures").dataset.kind;
  byId("result-head").hidden = true;
}

/** Ask what the form says. `arrive`: go to the result, as after pressing the button; else stay where the reader is. */
async function run(arrive = true) {
  input.refuse(null);
  if (input.text().trim() === "") {
    input.refuse("There is no sequence yet: paste one, open a file or take an example.");
    byId("fasta").focus();
    return;
  }
  const reason = (bundleOf(settings.bundle).can)[settings.do];
  if (reason) { input.refuse(`${KINDS[settings.do].title} does not work with this model: ${reason}.`); return; }
  if (Number(settings.record) > records(input.text()).length) settle({ record: "1" });
  const inside = byId("pictures").contains(document.activeElement);
  byId("pictures").setAttribute("aria-busy", "true");
  try {
    const found = await ask(question());
    if (found === null) return;
    show(found);
    say(`${KINDS[found.kind].title}: the result is there.`);
    if (inside) refocus(".strip");
    if (arrive) {
      byId("result").focus({ preventScroll: true });
      const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      byId("result").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    }
  } catch (error) {
    input.changes(() => run(false));
    input.refuse(error.message);
    byId("error").scrollIntoView({ block: "nearest" });
    if (!(error instanceof api.Refused)) throw error;
  } finally {
    byId("pictures").removeAttribute("aria-busy");
  }
}

/** Settings came from the address (a link, the back button): show what was answered to them, if it was. */
function follow() {
  const { settings: said, fasta } = permalink.read(window.location.hash);
  const { can } = bundleOf(said.bundle) ?? about.bundles[0];
  if (window.location.hash === "" && can[said.do]) said.do = Object.keys(KINDS).find((kind) => !can[kind]);
  settle(said, false);
  if (fasta !== null && fasta !== input.text()) input.put(fasta);
  const found = input.text().trim() === "" ? undefined : remembered(question());
  if (found) show(found);
  else clear();
  return fasta !== null && !found;
}

function linkable() {
  const letters = records(input.text()).reduce((sum, record) => sum + record.letters.length, 0);
  byId("with-choice").hidden = letters > permalink.LINKED_LETTERS;
  if (byId("with-choice").hidden) byId("with").checked = false;
}

function wire() {
  byId("ask").addEventListener("submit", (event) => { event.preventDefault(); run(); });
  byId("fasta").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); }
  });
  byId("cancel").addEventListener("click", async () => {
    if (await stop()) say("Cancelled.");
    byId("pictures").removeAttribute("aria-busy");
    byId("run").focus();
  });
  byId("kinds").addEventListener("change", (event) => {
    settle({ do: event.target.value });
    input.refuse(null);
    const found = remembered(question());
    if (found) show(found);
    else clear();
  });
  byId("bundle").addEventListener("change", (event) => { settle({ bundle: event.target.value }); clear(); });
  byId("code").addEventListener("change", (event) => { settle({ code: event.target.value }); clear(); });
  byId("record").addEventListener("change", (event) => {
    settle({ record: event.target.value });
    cursors.clear();
    const found = remembered(question());
    if (found) show(found);
    else run(false);
  });
  byId("link").addEventListener("click", async () => {
    const hash = permalink.written(settings, byId("with").checked ? input.text() : null);
    const done = await copied(window.location.href.replace(/#.*$/, "") + hash);
    if (!done) window.history.replaceState(null, "", hash);
    byId("link").textContent = done ? "Copied" : "It is in the address bar";
    setTimeout(() => { byId("link").textContent = "Copy link"; }, 2000);
  });
  byId("skip").addEventListener("click", () => byId("result").focus());
  window.addEventListener("popstate", follow);
}

async function begin() {
  themed();
  try {
    about = await api.about();
  } catch (error) {
    input.refuse(error.message);
    return;
  }
  byId("kinds").append(...Object.entries(KINDS).map(([kind, { title, words }]) => element("label", { class: "kind" },
    element("input", { type: "radio", name: "kind", value: kind, "aria-describedby": `about-${kind}` }),
    element("strong", { text: title }), element("span", { id: `about-${kind}`, text: words }))));
  const entry = (value, name) => element("option", { value, text: `${value}: ${name}` });
  byId("bundle").append(...about.bundles.map(({ id, name }) => entry(id, name)));
  const wanted = permalink.read(window.location.hash).settings.code;
  byId("code").append(...codes(wanted).map(([id, name]) => entry(id, name)));
  byId("about").textContent = `nuclex ${about.version}. Sequences go to this server alone and are forgotten soon `
    + "after. They are read as given, from 5′ to 3′; the other strand is not looked at. Positions are counted from 1."
    + (about.reference ? ` Reference: ${about.reference.name}, ${count(about.reference.count)} sequences.` : "");
  input.wired(about, () => { cursors.clear(); clear(); });
  wire();
  document.documentElement.dataset.ready = "";
  if (follow()) run(false);
}

begin();
