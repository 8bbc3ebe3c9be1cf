// What a terminal would show of a log's lines, as runs of text with classes and colours. Nothing here makes HTML.

const CSI = 0x5b; // [
const SEQUENCE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]+[0-~]?|[0-~]?)/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const NOTABLE = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
const FLAGS = { 1: "b", 2: "d", 3: "i", 4: "u", 7: "v", 8: "h", 9: "s" };
const OFF = { 22: ["b", "d"], 23: ["i"], 24: ["u"], 27: ["v"], 28: ["h"], 29: ["s"] };

// The colours and styles that are in effect. They last over the ends of lines.
export class Pen {
  constructor() {
    this.reset();
  }

  reset() {
    this.flags = new Set();
    this.ink = this.ground = null; // a class such as "f1", or "rgb(1 2 3)"
  }

  copy() {
    return Object.assign(new Pen(), this, { flags: new Set(this.flags) });
  }

  get plain() {
    return !this.flags.size && !this.ink && !this.ground;
  }

  // The parameters of a sequence that ends in m.
  take(parameters) {
    // 38:2::R:G:B has a place for a colour space, which 38;2;R;G;B lacks.
    const list = parameters.replace(/([34]8):2::/g, "$1;2;").replaceAll(":", ";");
    const codes = list.split(";").map((text) => Number(text) || 0);
    for (let at = 0; at < codes.length; at += 1) {
      const code = codes[at];
      if (code === 0) this.reset();
      else if (FLAGS[code]) this.flags.add(FLAGS[code]);
      else if (code === 21) this.flags.add("u");
      else if (OFF[code]) OFF[code].forEach((flag) => this.flags.delete(flag));
      else if (code === 39) this.ink = null;
      else if (code === 49) this.ground = null;
      else if (code === 38 || code === 48) {
        const [colour, used] = extended(codes, at + 1, code === 38 ? "f" : "g");
        if (code === 38) this.ink = colour;
        else this.ground = colour;
        at += used;
      } else if (code >= 30 && code <= 37) this.ink = `f${code - 30}`;
      else if (code >= 90 && code <= 97) this.ink = `f${code - 82}`;
      else if (code >= 40 && code <= 47) this.ground = `g${code - 40}`;
      else if (code >= 100 && code <= 107) this.ground = `g${code - 92}`;
    }
  }

  // A run of text as it is to be shown; null for the style that is in effect without any.
  get style() {
    if (this.plain) return null;
    const classes = [...this.flags];
    const style = { classes, ink: null, ground: null };
    for (const [name, colour] of [["ink", this.ink], ["ground", this.ground]]) {
      if (!colour) continue;
      if (colour.startsWith("rgb")) style[name] = colour;
      else classes.push(colour);
    }
    return style;
  }
}

// After 38 or 48: 5;N of 256 colours, or 2;R;G;B. Returns the colour, and how many codes it took.
function extended(codes, at, kind) {
  if (codes[at] === 5) return [indexed(codes[at + 1] ?? 256, kind), 2];
  if (codes[at] === 2) {
    const [red, green, blue] = [1, 2, 3].map((step) => Math.min(255, codes[at + step] ?? 0));
    return [`rgb(${red} ${green} ${blue})`, 4];
  }
  return [null, 1];
}

function indexed(number, kind) {
  if (number < 16) return `${kind}${number}`;
  if (number > 255) return null;
  if (number >= 232) return grey(8 + 10 * (number - 232));
  const step = (value) => (value ? 55 + 40 * value : 0);
  const cube = number - 16;
  return `rgb(${step(Math.floor(cube / 36))} ${step(Math.floor(cube / 6) % 6)} ${step(cube % 6)})`;
}

const grey = (value) => `rgb(${value} ${value} ${value})`;

// What is left of a line after carriage returns: the text after the last one, unless that only ends the line. `before` is
// what was written over; its colours count.
export function afterReturns(line) {
  let end = line.length;
  while (end && line.charCodeAt(end - 1) === 13) end -= 1;
  const at = line.lastIndexOf("\r", end - 1) + 1;
  return [at ? line.slice(0, at) : "", at || end < line.length ? line.slice(at, end) : line];
}

// The runs of a line: [text, style] with the pen's styles. The line has no newline.
export function runs(line, pen) {
  if (!NOTABLE.test(line)) return line ? [[line, pen.style]] : [];
  const [before, text] = afterReturns(line);
  for (const found of before.matchAll(SEQUENCE)) note(found, pen);
  const shown = [];
  let from = 0;
  const put = (part) => {
    const clean = part.replace(CONTROLS, "");
    if (clean) shown.push([clean, pen.style]);
  };
  for (const found of text.matchAll(SEQUENCE)) {
    put(text.slice(from, found.index));
    note(found, pen);
    from = found.index + found[0].length;
  }
  put(text.slice(from));
  return shown;
}

function note(found, pen) {
  if (found[2] === "m" && found[0].charCodeAt(1) === CSI && !/[<-?]/.test(found[1])) pen.take(found[1]);
}
