// One stream of hints from the server: it says that something has changed, not what. It is closed while the page is hidden,
// since a browser opens six connections to a server at most, and opened again by this code alone: an EventSource gives up
// after an answer other than 200, and a new one does not know what the last one has seen.

const KINDS = ["task", "jobs", "node", "resync", "beat"];
const QUIET = 15000; // beats come every 10 s while the server and its database are well
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10000;

export class Stream {
  // told(kind, data) is called for each hint, lost(tries) after each failure.
  constructor(address, topics, told, lost) {
    [this.address, this.topics, this.told, this.lost] = [address, topics, told, lost];
    this.source = null;
    this.timer = 0;
    this.last = "";
    this.tries = 0;
    this.heard = 0; // what is shown is as old as the page
  }

  open() {
    this.close();
    const query = new URLSearchParams({ topics: this.topics.join(",") });
    if (this.last) query.set("last", this.last);
    else query.set("age", ((performance.now() - this.heard) / 1000).toFixed(1));
    this.source = new EventSource(`${this.address}?${query}`);
    for (const kind of KINDS) this.source.addEventListener(kind, (event) => this.take(kind, event));
    this.source.addEventListener("error", () => this.again());
  }

  take(kind, event) {
    if (event.lastEventId) this.last = event.lastEventId;
    this.heard = performance.now();
    this.tries = 0;
    if (kind !== "beat") this.told(kind, JSON.parse(event.data));
  }

  again() {
    this.close();
    this.tries += 1;
    this.lost(this.tries);
    const pause = Math.min(FIRST_PAUSE * 2 ** (this.tries - 1), LONGEST_PAUSE);
    // Spread, so that all browsers do not return to a new server at once.
    this.timer = setTimeout(() => this.open(), pause * (0.75 + Math.random() / 2));
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  // Seconds since the last sign of life.
  get age() {
    return (performance.now() - this.heard) / 1000;
  }

  get state() {
    if (!this.source || this.source.readyState !== EventSource.OPEN) return "reconnecting";
    return this.age * 1000 > QUIET ? "old" : "live";
  }
}
