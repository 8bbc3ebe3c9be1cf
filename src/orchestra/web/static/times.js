// Times as people read them: "3 h ago" keeps its age, and moments are shown in the reader's zone, with UTC in the title.
// The words are those of domain/human.py.

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const EVERY = 10000;

function about(seconds) {
  for (const [unit, size] of UNITS) {
    if (seconds >= size * (unit === "h" || unit === "d" ? 2 : 1)) return `${Math.round(seconds / size)} ${unit}`;
  }
  return "0 s";
}

export function relative(seconds) {
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${about(seconds)}` : `${about(-seconds)} ago`;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function two(number) {
  return String(number).padStart(2, "0");
}

// As the server writes it, but in this zone: 2026-11-26 12:02:11.
export function local(at) {
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

// The reader's clock may be wrong, so ages are counted from the server's time of the page and what has passed since.
let served = null;
let read = 0;

function now() {
  return served === null ? Date.now() : served + (performance.now() - read);
}

export function showTimes(within = document) {
  for (const node of within.querySelectorAll("time[data-ago]")) {
    put(node, relative((new Date(node.dateTime) - now()) / 1000));
  }
  for (const node of within.querySelectorAll("time[data-clock]")) put(node, local(new Date(node.dateTime)));
}

// Note the server's time of a page that was just fetched.
export function noteServed(page) {
  const stamp = page.querySelector("#as-of time");
  if (stamp) [served, read] = [Date.parse(stamp.dateTime), performance.now()];
}

export function keepTimes() {
  noteServed(document);
  showTimes();
  setInterval(() => showTimes(), EVERY);
}
