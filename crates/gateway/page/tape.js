// The timeline of one recording: seconds on the tape and times of day, gaps, titles, marks. Nothing here touches the document.

const ms = (time) => Date.parse(time);

export class Tape {
  gaps = [];
  marks = [];
  titles = [];
  count = 0;
  #points = [];                 // [seconds, milliseconds], where a time of day is known
  #closed = [];                 // for each of them until when the tape goes up to the next one, whatever clocks did

  constructor(rate) {
    this.rate = rate;
  }

  add(entries) {
    this.count += entries.length;
    for (const entry of entries) this.#take(entry);
    const points = this.#points.sort((a, b) => a[0] - b[0]);
    let latest = -Infinity;
    this.#closed = points.map(([at, time], n) => {
      latest = Math.max(latest, n + 1 < points.length ? time + (points[n + 1][0] - at) * 1000 : Infinity);
      return latest;
    });
    for (const list of [this.gaps, this.marks, this.titles]) list.sort((a, b) => a.at - b.at);
  }

  #take(entry) {
    const at = (entry.frame ?? entry.at) / this.rate;
    if (entry.type === 'anchor') this.#points.push([at, ms(entry.time)]);
    if (entry.type === 'mark') this.marks.push({ at, frame: entry.frame, text: entry.text });
    if (entry.type === 'title') this.titles.push({ at, text: entry.title });
    if (entry.type !== 'gap') return;
    const [from, to] = [ms(entry.from), ms(entry.to)];
    this.gaps.push({ at, from, to, lost: (to - from) / 1000, reason: entry.reason });
    this.#points.push([at, to]);
  }

  /** Time of day of a place in milliseconds; `null` if nobody knows it. */
  timeOf(seconds) {
    const points = this.#points;
    if (points.length === 0) return null;
    const [at, time] = points[Math.max(0, lastOf(points.length, (n) => points[n][0] <= seconds))];
    // As the gateway counts: at the tape's rate from the anchor before, so that a time never becomes another one later.
    return time + (seconds - at) * 1000;
  }

  /** The place of a time of day; inside a gap the first after it. */
  secondsOf(time) {
    const points = this.#points;
    if (points.length === 0) return null;
    const n = lastOf(points.length, (k) => this.#closed[k] <= time) + 1;
    const [at, start] = points[n];
    const seconds = at + Math.max(0, time - start) / 1000;
    return points[n + 1] ? Math.min(seconds, points[n + 1][0]) : seconds;
  }

  titleAt(seconds) {
    return this.titles.findLast(({ at }) => at <= seconds)?.text ?? '';
  }
}

// The last of `count` numbers for which it holds, -1 for none; it holds up to some number, and for none after it.
function lastOf(count, holds) {
  let [low, high] = [-1, count - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
