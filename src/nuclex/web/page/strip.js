// A sequence as a picture that wraps like text: tracks above each other, a column a position, drawn only near the view.
import { canvas, drawn, element, written } from "./dom.js";
import { say, tip, untip } from "./tip.js";

export const GUTTER = 54;
const TOP = 16, GAP = 12, BELOW = 14, RIGHT = 8, PAPER = 700, SAVED = 1000, TALL = 1600;

/**
 * `length` columns of about `wanted` pixels. A track is {height, rows, draw(from, to, column) → nodes, axis() → nodes};
 * the one with `rows` is a grid whose cells can be pointed at. `describe(column, row)` says a cell in words, `activate`
 * is what a click or Enter does, `number(column)` the 1-based position above, `legend` a picture below (or null).
 */
export class Strip {
  constructor(given) {
    Object.assign(this, { activate: null, legend: null, start: [0, 0] }, given);
    this.column = this.wanted;
    this.height = TOP + this.tracks.reduce((sum, track) => sum + track.height + GAP, 0) + BELOW;
    this.grid = this.tracks.find((track) => track.rows);
    this.gridTop = TOP + this.tracks.slice(0, this.tracks.indexOf(this.grid))
      .reduce((sum, track) => sum + track.height + GAP, 0);
    [this.at, this.row] = this.start;
    this.lines = [];
    this.frame = element("div", {
      class: `strip${this.activate ? " clickable" : ""}`, tabindex: 0, role: "application", "aria-label": this.name,
      on: {
        keydown: (event) => this.key(event), blur: () => { this.mark(null); untip(); },
        focus: () => { if (this.frame.matches(":focus-visible")) this.moved(); },
        pointermove: (event) => this.point(event), pointerleave: () => { this.unpoint(); },
        click: (event) => this.click(event),
      },
    });
    this.body = element("div", { class: "lines" }, this.frame, this.legend);
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) this.fill(entry.target);
    }, { rootMargin: "500px 0px" });
    new ResizeObserver(() => this.wrap(this.frame.clientWidth)).observe(this.frame);
    this.printing = () => { this.wrap(PAPER); this.lines.forEach((line) => this.fill(line)); };
    this.printed = () => this.wrap(this.frame.clientWidth);
    window.addEventListener("beforeprint", this.printing);
    window.addEventListener("afterprint", this.printed);
  }

  /** [columns, their width] of lines of at most `width` pixels: one line if its columns may be a little narrower. */
  fitting(width) {
    const room = width - GUTTER - RIGHT;
    if (room >= this.length * this.wanted * 0.8) return [this.length, Math.min(this.wanted, room / this.length)];
    const most = Math.max(1, Math.floor(room / this.wanted));
    const even = Math.ceil(this.length / Math.ceil(this.length / most)); // lines of one length
    const tens = Math.ceil(even / 10) * 10;
    return [tens <= most && this.wanted < 20 ? tens : even, this.wanted];
  }

  wrap(width) {
    if (!this.frame.isConnected && width !== PAPER) return this.forget();
    const [per, column] = this.fitting(width);
    if (width === 0 || (per === this.per && column === this.column && this.lines.length)) return undefined;
    [this.per, this.column] = [per, column];
    this.seen.disconnect();
    this.lines = [];
    for (let from = 0; from < this.length; from += per) {
      const line = canvas(this.wide(per), this.height, { "aria-hidden": "true", "data-from": from });
      this.lines.push(line);
      this.seen.observe(line);
    }
    this.frame.replaceChildren(...this.lines);
    const tall = this.lines.length * this.height > TALL;
    this.frame.classList.toggle("tall", tall);
    if (!tall) this.lines.forEach((line) => this.fill(line));
    if (document.activeElement === this.frame) this.moved();
    return undefined;
  }

  forget() {
    this.seen.disconnect();
    window.removeEventListener("beforeprint", this.printing);
    window.removeEventListener("afterprint", this.printed);
  }

  wide(columns) {
    return GUTTER + columns * this.column + RIGHT;
  }

  fill(line) {
    if (line.childElementCount > 0) return;
    const from = Number(line.dataset.from);
    line.append(...this.drawnLine(from, Math.min(from + this.per, this.length)));
  }

  drawnLine(from, to) {
    const nodes = [];
    const every = [1, 5].find((step) => step * this.column >= 32) ?? 10;
    for (let n = from; n < to; n += 1) {
      if (n === from || ((n + 1) % every === 0 && n - from >= every / 3)) {
        nodes.push(written(GUTTER + (n - from + 0.5) * this.column, TOP - 6, this.number(n), {
          "text-anchor": "middle", "font-size": 10, opacity: 0.75,
        }));
      }
    }
    let y = TOP;
    for (const track of this.tracks) {
      nodes.push(drawn("g", { transform: `translate(${GUTTER} ${y})` },
        track.axis(), track.draw(from, to, this.column)));
      y += track.height + GAP;
    }
    return nodes;
  }

  /** The whole picture for a file: all lines below each other, and the legend. */
  whole() {
    const onPage = [this.per, this.column];
    const [per, column] = this.fitting(SAVED);
    this.column = column;
    const parts = [];
    let y = 0;
    for (let from = 0; from < this.length; from += per) {
      parts.push(drawn("g", { transform: `translate(0 ${y})` },
        this.drawnLine(from, Math.min(from + per, this.length))));
      y += this.height;
    }
    let width = this.wide(per);
    if (this.legend) {
      const copy = this.legend.cloneNode(true);
      copy.setAttribute("x", GUTTER);
      copy.setAttribute("y", y);
      parts.push(copy);
      y += Number(copy.getAttribute("height")) + 6;
      width = Math.max(width, GUTTER + Number(copy.getAttribute("width")));
    }
    [this.per, this.column] = onPage;
    return canvas(width, y, {}, parts);
  }

  cellAt(event) {
    const line = event.target.closest("svg[data-from]");
    if (!line) return null;
    const box = line.getBoundingClientRect();
    const scale = box.width / this.wide(this.per);
    const column = Math.floor(((event.clientX - box.left) / scale - GUTTER) / this.column);
    const at = Number(line.dataset.from) + column;
    if (column < 0 || column >= this.per || at >= this.length) return null;
    const inside = ((event.clientY - box.top) / scale - this.gridTop) / (this.grid ? this.grid.height : 1);
    const row = this.grid && inside >= 0 && inside < 1 ? Math.floor(inside * this.grid.rows) : null;
    return [at, row];
  }

  point(event) {
    const cell = this.cellAt(event);
    if (!cell) { this.unpoint(); return; }
    this.mark(cell);
    tip(this.describe(...cell), event.clientX, event.clientY);
  }

  unpoint() {
    untip();
    this.mark(document.activeElement === this.frame ? [this.at, this.row] : null);
  }

  click(event) {
    const cell = this.cellAt(event);
    if (!cell) return;
    [this.at, this.row] = [cell[0], cell[1] ?? this.row];
    if (this.activate && (cell[1] !== null || !this.grid)) { untip(); this.activate(cell[0], cell[1]); }
  }

  key(event) {
    const rows = this.grid ? this.grid.rows : 1;
    const steps = {
      ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
      PageDown: [this.per, 0], PageUp: [-this.per, 0], Home: [-this.length, 0], End: [this.length, 0],
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.key === "Enter" || event.key === " ") && this.activate) {
      event.preventDefault();
      this.activate(this.at, this.row);
    } else if (event.key in steps) {
      event.preventDefault();
      this.at = Math.min(Math.max(this.at + steps[event.key][0], 0), this.length - 1);
      this.row = Math.min(Math.max(this.row + steps[event.key][1], 0), rows - 1);
      this.moved();
    }
  }

  moved() {
    const line = this.lines[Math.floor(this.at / this.per)];
    if (!line) return;
    this.fill(line);
    line.scrollIntoView({ block: "nearest" });
    this.mark([this.at, this.row]);
    const text = this.describe(this.at, this.grid ? this.row : null);
    say(text);
    const box = line.getBoundingClientRect();
    const scale = box.width / this.wide(this.per);
    const middle = GUTTER + (this.at % this.per + 0.5) * this.column;
    tip(text, box.left + middle * scale, box.top + 10);
  }

  mark(cell) {
    this.cursor?.remove();
    this.cursor = null;
    const line = cell ? this.lines[Math.floor(cell[0] / this.per)] : null;
    if (!line) return;
    const size = this.grid && cell[1] !== null ? this.grid.height / this.grid.rows : this.height - TOP - BELOW;
    const y = this.grid && cell[1] !== null ? this.gridTop + cell[1] * size : TOP - 2;
    const box = { x: GUTTER + (cell[0] % this.per) * this.column, y, width: this.column, height: size, rx: 2 };
    this.cursor = drawn("g", { "data-cursor": true, "pointer-events": "none" },
      drawn("rect", { ...box, stroke: "#ffffff", "stroke-width": 4 }),
      drawn("rect", { ...box, stroke: "#111111", "stroke-width": 2 }));
    line.append(this.cursor);
  }
}
