// The sequences as they are typed, dropped or taken from an example; changes made by clicking in a picture, and undone.
import { byId, element } from "./dom.js";
import { records, replaced } from "./fasta.js";
import { count, many } from "./numbers.js";

const undos = []; // [{text, label}] texts before each change

export function text() {
  return byId("fasta").value;
}

/** Show one sentence beside the sequences, or none. */
export function refuse(sentence) {
  const place = byId("error");
  place.textContent = sentence ?? "";
  place.hidden = sentence === null;
  if (sentence === null) byId("fasta").removeAttribute("aria-invalid");
  else byId("fasta").setAttribute("aria-invalid", "true");
}

function counted(limits) {
  const all = records(text());
  const letters = all.reduce((sum, record) => sum + record.letters.length, 0);
  byId("fasta-help").textContent = all.length ? `${many(all.length, "sequence")}, ${many(letters, "letter")}`
    : `Up to ${count(limits.sequences)} sequences of ${count(limits.letters)} letters each.`;
}

/** Put a text in as if it was pasted: changes made to the one before are forgotten. */
export function put(fasta) {
  byId("fasta").value = fasta;
  byId("fasta").dispatchEvent(new Event("input"));
}

/** Put letters in place of others in record `index` from `start` on, if these are there; `label` says so in a word. */
export function edit(index, start, [was, letters], label) {
  const before = text();
  const same = (some) => some.toUpperCase().replaceAll("U", "T");
  if (same(records(before)[index]?.letters.slice(start, start + was.length) ?? "") !== same(was)) {
    refuse(`The sequence has no ${was} at position ${count(start + 1)} any more: ask again, then change it.`);
    return false;
  }
  byId("fasta").value = replaced(before, index, start, letters);
  undos.push({ text: before, label });
  return true;
}

function undo(all, changed) {
  const back = all ? undos[0] : undos[undos.length - 1];
  undos.splice(all ? 0 : undos.length - 1);
  byId("fasta").value = back.text;
  changed();
}

/** The changes so far with the buttons that take them back. */
export function changes(changed) {
  const place = byId("changes");
  place.hidden = undos.length === 0;
  if (place.hidden) return;
  const button = (words, all) => element("button", {
    type: "button", class: "plain", text: words, on: { click: () => undo(all, changed) },
  });
  place.replaceChildren(element("span", { class: "quiet", text: "Changed:" }),
    ...undos.slice(-6).map((one) => element("code", { text: one.label })),
    button("Undo", false), ...(undos.length > 1 ? [button(`Undo all ${undos.length}`, true)] : []));
}

async function opened(file, limits) {
  if (!file) return;
  if (file.size > limits.body_bytes) {
    refuse(`${file.name} has ${count(file.size)} bytes; at most ${count(limits.body_bytes)} are read here.`);
    return;
  }
  put(await file.text());
}

/** Wire the field, the file button, dropping, and the examples of `about`; `typed` is called when the text changes. */
export function wired(about, typed) {
  const field = byId("fasta");
  field.addEventListener("input", () => {
    undos.length = 0;
    refuse(null);
    counted(about.limits);
    typed();
  });
  byId("file").addEventListener("change", (event) => {
    opened(event.target.files[0], about.limits).then(() => { event.target.value = ""; });
  });
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    field.addEventListener(name, (event) => {
      if (name !== "dragleave" && !event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      field.classList.toggle("over", over);
      if (name === "drop") opened(event.dataTransfer.files[0], about.limits);
    });
  }
  if (about.examples.length > 0) {
    byId("examples").append("Try", ...about.examples.map((example) => element("button", {
      type: "button", class: "plain", text: example.title, on: { click: () => put(example.fasta) },
    })));
  }
  counted(about.limits);
}
