// A picture with all that belongs to it: what it shows, both downloads, and the same numbers as a table.
import { element } from "./dom.js";
import { count } from "./numbers.js";
import { csvText, saved, svgText } from "./saving.js";

const SHOWN_ROWS = 400;

function table(rows, name) {
  const [head, ...body] = rows;
  const cells = (row, tag) => row.map((value) => element(tag, {
    text: typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value ?? ""),
    scope: tag === "th" ? "col" : null,
  }));
  const shown = body.slice(0, SHOWN_ROWS);
  const rest = body.length - shown.length;
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table: ${name}` },
    element("table", {},
      element("thead", {}, element("tr", {}, cells(head, "th"))),
      element("tbody", {}, shown.map((row) => element("tr", {}, cells(row, "td"))))),
    rest > 0 ? element("p", { class: "quiet", text: `${count(rest)} more rows are in the CSV file.` }) : null);
}

/**
 * A figure. `picture()` makes the SVG that is saved, `rows()` the numbers (names first), `body` is what is seen,
 * `file` the name of the files without ending, `controls` are extra elements beside the downloads.
 */
export function figure({ title, caption, body, picture, rows, file, controls = [] }) {
  const numbers = element("details", {}, element("summary", { text: "The numbers as a table" }));
  numbers.addEventListener("toggle", () => {
    if (numbers.open && numbers.childElementCount === 1) numbers.append(table(rows(), title));
  });
  return element("figure", { class: "picture" },
    element("figcaption", {},
      element("h3", { text: title }),
      element("p", { class: "quiet", text: caption.replaceAll("ln p", "ln\u00a0p") })),
    element("div", { class: "tools" }, controls,
      element("span", { class: "downloads" },
        element("button", {
          type: "button", class: "plain", text: "Download SVG", "aria-label": `Download SVG: ${title}`,
          on: { click: () => saved(`${file}.svg`, svgText(picture(), title), "image/svg+xml") },
        }),
        element("button", {
          type: "button", class: "plain", text: "Download data (CSV)", "aria-label": `Download data (CSV): ${title}`,
          on: { click: () => saved(`${file}.csv`, csvText(rows()), "text/csv") },
        }))),
    body, numbers);
}

/** Two or more choices of which one holds, as a row of radio buttons. */
export function choice({ legend, name, options, value, chosen }) {
  return element("fieldset", { class: "choice" },
    element("legend", { text: legend }),
    options.map(([key, text]) => element("label", {},
      element("input", {
        type: "radio", name, value: key, checked: key === value, on: { change: () => chosen(key) },
      }),
      element("span", { text }))));
}
