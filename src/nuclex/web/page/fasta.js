// FASTA text as it is typed: which records it holds, and how to change letters inside it without touching the rest.

/** What is sent: a bare sequence gets a name, so that pasting letters alone is enough. */
export function asFasta(text) {
  return text.trimStart().startsWith(">") || text.trim() === "" ? text : `>pasted\n${text}`;
}

/** [{name, letters, places}] of the records; `places` are the offsets of the letters in `text`. */
export function records(text) {
  const found = [];
  let offset = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith(">")) {
      found.push({ name: line.slice(1).trim().split(/\s+/)[0] || "(no name)", letters: "", places: [] });
    } else if (line.trim() !== "") {
      if (found.length === 0) found.push({ name: "pasted", letters: "", places: [] });
      const record = found[found.length - 1];
      for (let n = 0; n < line.length; n += 1) {
        if (line[n].trim() !== "") record.places.push(offset + n);
      }
      record.letters += line.replace(/\s/g, "");
    }
    offset += line.length + 1;
  }
  return found;
}

/** `text` with the letters of record `index` from `start` on replaced; U or T and case stay as the record has them. */
export function replaced(text, index, start, letters) {
  const record = records(text)[index];
  const thymine = /t/i.test(record.letters) && !/u/i.test(record.letters);
  const small = record.letters === record.letters.toLowerCase();
  let spelled = thymine ? letters.replace(/U/g, "T") : letters.replace(/T/g, /t/i.test(record.letters) ? "T" : "U");
  if (small) spelled = spelled.toLowerCase();
  const all = [...text];
  if (all.length !== text.length) throw new RangeError("letters beyond the basic plane");
  [...spelled].forEach((letter, n) => { all[record.places[start + n]] = letter; });
  return all.join("");
}
