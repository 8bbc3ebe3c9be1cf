// The log of an attempt: every line is in the page, so that the browser finds, selects and prints it. It is fetched from its
// first byte on, the end first where it is long, and followed while it grows.

import { Pen, runs } from "./ansi.js";

const CHUNK = 500; // lines that the browser lays out together, once they come into view
const PIECE = 4 << 20; // bytes of one request
const END = 128 << 10; // bytes of the end that is shown before the rest is there
const SLICE = 30; // milliseconds of work between two breaths
const GROWS = 1000;
const RESTS = 3000;
const LONGEST = 15000;
const NEAR = 24; // pixels from the end at which a reader follows

const LINE = /^#L(\d+)$/;

const breathe = () => new Promise((go) => setTimeout(go));

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const counted = (count) => `${count.toLocaleString("en")} line${count === 1 ? "" : "s"}`;

// Lines of text from bytes that come in pieces of any length; the last line may be unfinished.
class Lines {
  constructor() {
    this.decoder = new TextDecoder("utf-8");
    this.rest = "";
  }

  take(bytes) {
    const text = this.rest + this.decoder.decode(bytes, { stream: true });
    const lines = text.split("\n");
    this.rest = lines.pop();
    return lines;
  }
}

// Turns lines into elements, below an element, in chunks.
class Sheet {
  constructor(place) {
    this.place = place;
    this.pen = new Pen();
    this.lines = new Lines();
    this.count = 0;
    this.open = null; // the unfinished line
    this.added = () => {};
  }

  async take(bytes) {
    let until = performance.now() + SLICE;
    const lines = this.lines.take(bytes);
    this.open?.remove();
    this.open = null;
    let first = null;
    for (let at = 0; at < lines.length; ) {
      const room = this.place.lastChild ? CHUNK - (this.count % CHUNK || CHUNK) : 0;
      const fresh = document.createDocumentFragment();
      for (const end = Math.min(lines.length, at + (room || CHUNK)); at < end; at += 1) fresh.append(element(lines[at], this.pen));
      first ??= fresh.firstChild;
      this.add(fresh, !room);
      if (performance.now() > until && at < lines.length) {
        await breathe();
        until = performance.now() + SLICE;
      }
    }
    this.showRest();
    if (first || this.open) this.added(first ?? this.open);
  }

  add(fresh, anew) {
    const size = fresh.childElementCount;
    if (anew) this.begin();
    this.place.lastChild.append(fresh);
    this.count += size;
    this.measure();
  }

  begin() {
    if (this.place.lastChild?.childElementCount === 0) return; // it had an unfinished line alone
    const chunk = document.createElement("div");
    chunk.className = "chunk";
    chunk.style.setProperty("--first", this.count);
    this.place.append(chunk);
  }

  // A line without its end, such as a progress bar, is shown and replaced by what follows.
  showRest() {
    if (!this.lines.rest) return;
    if (!this.place.lastChild || this.count % CHUNK === 0) this.begin();
    this.open = element(this.lines.rest, this.pen.copy());
    this.place.lastChild.append(this.open);
    this.measure();
  }

  // How many lines the last chunk has, for its height before it comes into view.
  measure() {
    const chunk = this.place.lastChild;
    chunk.style.setProperty("--lines", chunk.childElementCount);
  }

  line(number) {
    const chunk = this.place.children[Math.floor((number - 1) / CHUNK)];
    return chunk?.children[(number - 1) % CHUNK] ?? null;
  }

  *each() {
    let number = 0;
    for (const chunk of this.place.children) for (const line of chunk.children) yield [line, (number += 1), chunk];
  }
}

function element(text, pen) {
  const line = document.createElement("div");
  for (const [shown, style] of runs(text, pen)) {
    if (!style) {
      line.append(shown);
      continue;
    }
    const run = document.createElement("span");
    run.className = style.classes.join(" ");
    if (style.ink) {
      run.classList.add("ink");
      run.style.setProperty("--ink-of-run", style.ink);
    }
    if (style.ground) {
      run.classList.add("ground");
      run.style.setProperty("--ground-of-run", style.ground);
    }
    run.append(shown);
    line.append(run);
  }
  return line;
}

// Requests of ranges, and what the answers say about the log.
class Source {
  constructor(address) {
    this.address = address;
    this.length = 0;
    this.kept = 0;
    this.over = false;
  }

  // What a request found: {bytes: a reader, start} or {bytes: null}; throws where there was no answer.
  async range(range) {
    const answer = await fetch(this.address, { headers: { Range: `bytes=${range}`, Accept: "text/plain" } });
    if (answer.status === 401 || answer.status === 403) throw new Refused();
    if (answer.status === 404) return { bytes: null };
    if (answer.status !== 206 && answer.status !== 416) throw new Error(`status ${answer.status}`);
    const said = /(\d+)-\d+\/(\d+)/.exec(answer.headers.get("Orchestra-Log-Kept") ?? "");
    if (!said) throw new Error(`status ${answer.status}`);
    this.kept = Number(said[1]);
    this.length = Number(said[2]);
    this.over = answer.headers.get("Orchestra-Log-Over") === "true";
    this.isTail = answer.headers.get("Orchestra-Log-Source") === "tail";
    if (answer.status === 416) return { bytes: null };
    const start = Number(/bytes (\d+)/.exec(answer.headers.get("Content-Range"))[1]);
    return { bytes: answer.body.getReader(), start };
  }
}

class Refused extends Error {}

class Viewer {
  constructor(box) {
    this.box = box;
    this.view = box.querySelector(".log-view");
    this.source = new Source(box.dataset.source);
    this.follows = box.dataset.end !== undefined && !LINE.test(location.hash);
    this.seen = 0; // lines when following was paused
    this.top = 0; // where the view was last scrolled to
    this.filter = "";
    this.timer = 0;
    this.failures = 0;
    this.resized = new ResizeObserver(() => this.follows && !this.tip && this.toEnd());
    this.resized.observe(this.view);
    this.part = (name) => box.querySelector(`[data-part=${name}]`);
    this.wire();
    this.clear();
    this.run();
  }

  clear() {
    const text = document.createElement("div");
    text.className = "log-lines";
    this.sheet = new Sheet(text);
    this.sheet.added = (first) => this.added(first);
    this.at = null; // the next byte
    this.hits = 0;
    this.loaded = false;
    this.tip = null; // the end, while the rest is being fetched
  }

  async run() {
    clearTimeout(this.timer);
    if (this.busy) return;
    this.busy = true;
    let grew = false;
    try {
      grew = this.at === null ? await this.begin() : await this.more();
      this.failures = 0;
      this.say("");
    } catch (error) {
      if (error instanceof Refused) {
        this.say("You may not read this log, or are not signed in any more.");
        return;
      }
      this.failures += 1;
      this.say("The log cannot be reached. It is asked for again.");
    } finally {
      this.busy = false;
    }
    this.wasLive ||= !this.source.over;
    const over = this.source.over && this.at !== null && this.at >= this.source.length;
    if (over && !this.failures) {
      this.finish();
      return;
    }
    const pause = this.failures ? Math.min(GROWS * 2 ** this.failures, LONGEST) : grew ? GROWS : RESTS;
    if (!document.hidden) this.timer = setTimeout(() => this.run(), pause);
  }

  // Show the end of a long log at once, then all of it.
  async begin() {
    const { bytes, start } = await this.source.range(`-${END}`);
    if (!bytes) return false;
    this.view.replaceChildren(this.sheet.place);
    this.resized.observe(this.sheet.place);
    if (start <= this.source.kept || !this.follows) {
      if (start > this.source.kept) {
        await bytes.cancel();
        this.at = this.source.kept;
        this.banner();
        return this.more();
      }
      this.at = start;
      this.banner();
      await this.read(bytes);
      this.loaded = true;
      this.jump();
      return true;
    }
    this.tip = document.createElement("div");
    this.tip.className = "log-lines tip";
    this.view.append(this.tip);
    const end = new Sheet(this.tip);
    for (let piece; !(piece = await bytes.read()).done; ) await end.take(piece.value);
    end.place.firstChild?.firstChild?.remove(); // it began somewhere in a line
    this.toEnd();
    this.at = this.source.kept;
    this.banner();
    return this.more();
  }

  // Fetch what follows, as far as there is something.
  async more() {
    let grew = false;
    for (;;) {
      const { bytes, start } = await this.source.range(`${this.at}-${this.at + PIECE - 1}`);
      if (!bytes) {
        if (this.source.kept > this.at) {
          await this.skip();
          continue;
        }
        // Another file is there now: it is read anew. What the database keeps may be older than what is shown.
        if (this.source.length < this.at && !this.source.isTail) {
          this.clear();
          return true;
        }
        break;
      }
      if (start !== this.at) throw new Error("another part");
      await this.read(bytes);
      grew = true;
      if (this.at >= this.source.length) break;
    }
    if (!this.loaded) {
      this.loaded = true;
      this.dropTip();
      this.jump();
    }
    return grew;
  }

  async read(bytes) {
    for (let piece; !(piece = await bytes.read()).done; ) {
      this.at += piece.value.length;
      await this.sheet.take(piece.value);
    }
  }

  // What is between cannot be read any more.
  async skip() {
    const left = size(this.source.kept - this.at);
    this.at = this.source.kept;
    await this.sheet.take(new TextEncoder().encode(`\n[orchestra: ${left} left out here]\n\n`));
  }

  // The end is now in its place in the whole. It looks the same, so the distance to it stays.
  dropTip() {
    if (!this.tip) return;
    const below = this.view.scrollHeight - this.view.scrollTop;
    this.tip.remove();
    this.tip = null;
    this.view.scrollTop = this.follows ? this.view.scrollHeight : this.view.scrollHeight - below;
  }

  banner() {
    const kept = this.part("kept");
    kept.hidden = !this.source.kept;
    kept.textContent = `Only the last ${size(this.source.length - this.source.kept)} of ${size(this.source.length)} can be read. Lines are counted from there.`;
  }

  added(first) {
    if (this.filter) this.test(first);
    if (this.follows && !this.tip) this.toEnd();
    else if (this.loaded) this.resume();
    this.part("count").textContent = counted(this.sheet.count);
  }

  toEnd() {
    this.view.scrollTop = this.view.scrollHeight;
    this.top = this.view.scrollTop;
    this.part("resume").hidden = true;
  }

  resume() {
    const fresh = this.sheet.count - this.seen;
    this.part("resume").hidden = fresh <= 0;
    this.part("resume").textContent = counted(fresh).replace(" ", " new ");
  }

  // Going up pauses, also when the browser does it for its search. Heights that turn out to be others do not.
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.view;
    const wentUp = scrollTop < this.top - 1;
    this.top = scrollTop;
    if (scrollHeight - clientHeight - scrollTop <= NEAR) {
      this.follows = true;
      this.part("resume").hidden = true;
    } else if (this.follows && wentUp) {
      this.follows = false;
      this.seen = this.sheet.count;
    } else if (this.follows) this.toEnd();
  }

  finish() {
    this.box.dataset.over = "";
    this.part("state").textContent = "complete";
    const said = document.getElementById("announce");
    if (said && this.wasLive) said.textContent = `The log is complete: ${counted(this.sheet.count)}.`;
  }

  say(text) {
    const trouble = this.part("trouble");
    trouble.hidden = !text;
    if (trouble.textContent !== text) trouble.textContent = text;
    this.part("state").textContent = text ? "not connected" : this.at === null ? "no output yet" : "follows the job";
  }

  // Lines that have an address: #L120.
  jump() {
    const number = Number(LINE.exec(location.hash)?.[1] ?? 0);
    if (number) this.show(number);
  }

  show(number) {
    this.view.querySelector(".target")?.classList.remove("target");
    const line = this.sheet.line(Math.min(number, this.sheet.count));
    if (!line) return;
    this.follows = false;
    this.seen = this.sheet.count;
    line.classList.add("target");
    // Twice: the first time, chunks on the way get their true heights.
    line.scrollIntoView({ block: "center" });
    requestAnimationFrame(() => line.scrollIntoView({ block: "center" }));
  }

  test(first) {
    for (let line = first; line; line = line.nextElementSibling ?? line.parentElement.nextElementSibling?.firstElementChild) {
      const hit = line.textContent.toLowerCase().includes(this.filter);
      line.classList.toggle("hit", hit);
      if (!hit || line === this.sheet.open) continue;
      line.dataset.n = this.numberOf(line);
      line.parentElement.classList.remove("none");
      this.hits += 1;
    }
    this.tell();
  }

  async search() {
    const wanted = this.part("find").value.toLowerCase();
    const turn = (this.turn = {});
    this.filter = "";
    this.hits = 0;
    this.box.classList.toggle("searched", Boolean(wanted));
    if (!wanted) {
      for (const line of this.view.querySelectorAll(".hit")) line.classList.remove("hit");
      for (const chunk of this.view.querySelectorAll(".chunk")) chunk.classList.remove("none");
      this.tell();
      return;
    }
    let until = performance.now() + SLICE;
    let hits = 0;
    for (const [line, number, chunk] of this.sheet.each()) {
      const hit = line.textContent.toLowerCase().includes(wanted);
      if (hit !== line.classList.contains("hit")) line.classList.toggle("hit", hit);
      if (hit) {
        line.dataset.n = number;
        hits += 1;
      }
      if (line === chunk.lastElementChild) chunk.classList.toggle("none", !chunk.querySelector(".hit"));
      if (performance.now() > until) {
        await breathe();
        if (turn !== this.turn) return;
        until = performance.now() + SLICE;
      }
    }
    this.hits = hits;
    this.filter = wanted;
    this.tell();
  }

  tell() {
    this.part("hits").textContent = this.part("find").value ? `${counted(this.hits)} match${this.hits === 1 ? "es" : ""}` : "";
  }

  numberOf(line) {
    const chunk = line.parentElement;
    return Number(chunk.style.getPropertyValue("--first")) + [...chunk.children].indexOf(line) + 1;
  }

  text() {
    const lines = [];
    for (const [line] of this.sheet.each()) if (!this.box.classList.contains("only") || !this.filter || line.classList.contains("hit")) lines.push(line.textContent);
    return `${lines.join("\n")}\n`;
  }

  async copy() {
    const text = this.text();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyBySelection(text); // without TLS there is no clipboard for scripts
    }
    document.getElementById("announce").textContent = "The log is copied.";
    this.part("copy").textContent = "Copied";
    setTimeout(() => (this.part("copy").textContent = "Copy all"), 2000);
  }

  wire() {
    let waiting = 0;
    this.part("tools").hidden = false;
    this.view.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.part("resume").addEventListener("click", () => {
      this.follows = true;
      this.toEnd();
      this.view.focus();
    });
    this.part("find").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.search(), 150);
    });
    this.part("only").addEventListener("change", (event) => this.box.classList.toggle("only", event.target.checked));
    const wrap = this.part("wrap");
    const wide = matchMedia("(min-width: 40rem)").matches;
    wrap.checked = (recall("log-wrap") ?? (wide ? "no" : "yes")) === "yes";
    const set = () => this.box.classList.toggle("wraps", wrap.checked);
    set();
    wrap.addEventListener("change", () => {
      set();
      keep("log-wrap", wrap.checked ? "yes" : "no");
    });
    this.part("copy").addEventListener("click", () => this.copy());
    this.part("line").addEventListener("change", (event) => {
      if (event.target.value) location.hash = `L${Math.max(1, Number(event.target.value))}`;
    });
    // The number of a line is before it, in its margin.
    this.view.addEventListener("click", (event) => {
      const line = event.target.closest(".chunk > div");
      if (!line || event.clientX - line.getBoundingClientRect().left > Number.parseFloat(getComputedStyle(line).paddingLeft)) return;
      const number = this.numberOf(line);
      history.replaceState(null, "", `#L${number}`);
      this.show(number);
    });
    this.view.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "a") {
        event.preventDefault();
        getSelection().selectAllChildren(this.view);
      }
    });
    this.view.addEventListener("copy", (event) => {
      const chosen = getSelection();
      if (!chosen.containsNode(this.sheet.place, false)) return;
      event.preventDefault();
      event.clipboardData.setData("text/plain", this.text());
    });
    addEventListener("hashchange", () => this.jump());
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.timer);
      if (!document.hidden && this.box.dataset.over === undefined) this.run();
    });
  }
}

function copyBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The reader lets no page keep anything.
  }
}

const box = document.querySelector(".log[data-source]");
if (box) new Viewer(box);

// When the next attempt begins, the page shows that one, unless a certain one was asked for.
const shown = document.getElementById("attempts")?.dataset.shown;
document.addEventListener("orchestra:fresh", () => {
  if (document.getElementById("attempts")?.dataset.shown !== shown) location.reload();
});

// "Run it by hand", copied.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      copyBySelection(button.dataset.copy);
    }
    document.getElementById("announce").textContent = "Copied.";
  });
}
