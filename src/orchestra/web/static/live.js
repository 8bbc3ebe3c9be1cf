// Keeps the parts of a page up to date that are marked with data-live="tasks task:7": at a hint about one of these topics the page
// is fetched again and its parts take over what differs. Focus, text that was typed, what was opened and what was
// scrolled stay. A part needs an id; so do rows that may move. What is below data-keep is left to its own script.

import { Stream } from "./stream.js";
import { noteServed, showTimes } from "./times.js";
import { Idiomorph } from "./vendor/idiomorph.js";

const SHORTEST = 1000; // milliseconds between two fetches; a slow server is asked less often
const FACTOR = 10;
const SAID_AFTER = 10; // seconds after which a screen reader is told that the page is old

const root = document.body.dataset.root;
const topics = new Set();
const dirty = new Set(); // topics that have changed; "*" is all of them
let stream = null;
let timer = 0;
let next = 0;
let fetching = false;
let saidOld = false;

const topicsOf = (region) => region.dataset.live.split(/[\s,]+/).filter(Boolean);

function regions() {
  return [...document.querySelectorAll("[data-live]")].filter((region) => region.id);
}

function told(kind, data) {
  if (kind === "resync") dirty.add("*");
  else if (kind === "node") dirty.add("nodes");
  else dirty.add("tasks").add(`task:${data.task}`);
  plan();
}

// A stream that is refused may mean that nobody is signed in any more: the page itself tells.
function lost(tries) {
  if (tries % 3 === 0) look();
}

async function look() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer && (answer.status === 401 || answer.redirected)) location.reload();
}

function plan(pause = 0) {
  if (timer || fetching || document.hidden || !dirty.size) return;
  timer = setTimeout(refresh, Math.max(pause, next - performance.now(), 0));
}

async function refresh() {
  timer = 0;
  fetching = true;
  const began = performance.now();
  const changed = new Set(dirty);
  dirty.clear();
  const page = await fetchPage();
  const took = performance.now() - began;
  next = performance.now() + Math.max(SHORTEST, FACTOR * took);
  fetching = false;
  if (page) take(page, changed);
  else for (const topic of changed) dirty.add(topic);
  plan(page ? 0 : 3 * SHORTEST);
}

async function fetchPage() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected || (answer.status >= 400 && answer.status < 500)) location.reload();
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  } catch {
    return null;
  }
}

function concerns(region, changed) {
  return changed.has("*") || topicsOf(region).some((topic) => topic === "*" || changed.has(topic));
}

function take(page, changed) {
  noteServed(page);
  document.title = page.title;
  for (const region of regions()) {
    if (!concerns(region, changed)) continue;
    const fresh = page.getElementById(region.id);
    if (!fresh) continue;
    Idiomorph.morph(region, fresh, { morphStyle: "outerHTML", callbacks: CALLBACKS });
    showTimes(document.getElementById(region.id));
  }
  document.dispatchEvent(new CustomEvent("orchestra:fresh"));
}

function wasChanged(field) {
  switch (field.tagName) {
    case "INPUT":
      return field.checked !== field.defaultChecked || (field.type !== "checkbox" && field.value !== field.defaultValue);
    case "TEXTAREA":
      return field.value !== field.defaultValue;
    case "SELECT":
      return [...field.options].some((option) => option.selected !== option.defaultSelected);
    default:
      return false;
  }
}

const CALLBACKS = {
  beforeNodeMorphed(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return true;
    if (node.dataset?.keep !== undefined) return false;
    return !(node.matches("input, textarea, select") && (node === document.activeElement || wasChanged(node)));
  },
  beforeAttributeUpdated(name, node) {
    return !(name === "open" && node.matches("details, dialog"));
  },
  beforeNodeRemoved(node) {
    return !(node.nodeType === Node.ELEMENT_NODE && node.dataset?.keep !== undefined);
  },
};

function show() {
  const status = document.getElementById("live");
  const { state } = stream;
  const age = Math.floor(stream.age);
  const old = state === "old" || age >= 3 ? `${age} s old` : "";
  const text = state === "reconnecting" ? `reconnecting${old && `, ${old}`}` : state === "old" ? old : "live";
  if (status.dataset.state !== state) status.dataset.state = state;
  const words = status.querySelector(".text");
  if (words.textContent !== text) words.textContent = text;
  if ((state !== "live" && age >= SAID_AFTER) !== saidOld) {
    saidOld = !saidOld;
    document.getElementById("announce").textContent = saidOld ? "This page is not up to date: no connection." : "This page is up to date again.";
  }
}

function wake() {
  if (document.hidden) stream.close();
  else {
    stream.open();
    plan();
    show();
  }
}

export function keepLive() {
  for (const region of regions()) for (const topic of topicsOf(region)) if (topic !== "*") topics.add(topic);
  if (!topics.size) return;
  stream = new Stream(`${root}/api/v1/stream`, [...topics], told, lost);
  document.addEventListener("visibilitychange", wake);
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => event.persisted && wake());
  setInterval(() => document.hidden || show(), 1000);
  wake();
}
