// The settings of the page and their permanent link: everything but the sequences stands in the address behind "#".

export const KINDS = ["predict", "fold", "embed", "mutate", "codons", "compare"];
export const DEFAULTS = { do: "predict", bundle: "a", record: "1", logo: "bits", code: "1", colour: "class" };
const ALLOWED = {
  do: (value) => KINDS.includes(value),
  bundle: (value) => /^\w{1,20}$/.test(value),
  record: (value) => /^[1-9]\d{0,5}$/.test(value),
  logo: (value) => ["bits", "probability"].includes(value),
  code: (value) => /^[1-9]\d?$/.test(value),
  colour: (value) => ["class", "gc", "length"].includes(value),
};
/** Letters up to which a link may carry the sequences. */
export const LINKED_LETTERS = 2000;

/** The settings that an address names; what it does not name, or names wrongly, is the default. */
export function read(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const settings = { ...DEFAULTS };
  for (const [name, allowed] of Object.entries(ALLOWED)) {
    const value = given.get(name);
    if (value !== null && allowed(value)) settings[name] = value;
  }
  return { settings, fasta: given.get("fasta") };
}

/** The part of an address behind "#" that says these settings; `fasta` only if the sequences shall be in it. */
export function written(settings, fasta = null) {
  const said = new URLSearchParams({ do: settings.do });
  for (const name of Object.keys(ALLOWED)) {
    if (name !== "do" && settings[name] !== DEFAULTS[name]) said.set(name, settings[name]);
  }
  if (fasta !== null) said.set("fasta", fasta);
  return `#${said}`;
}
