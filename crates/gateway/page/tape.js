// The timeline of one recording: seconds on the tape and times of day, gaps, titles, marks. Nothing here touches the document.

const ms = (time) => Date.parse(time);

export class Tape {
  gaps = [];
  marks = [];
  titles = [];
  count = 0;
  #points = [];                 // [seconds, milliseconds], where a time of day is known
  #ends = new Map();            // seconds of a gap -> when the audio before it ended

  constructor(rate) {
    this.rate = rate;
  }

  add(entries) {
    this.count += entries.length;
    for (const entry of entries) this.#take(entry);
    this.#points.sort((a, b) => a[0] - b[0]);
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
    this.#ends.set(at, from);
  }

  /** Time of day of a place in milliseconds; `null` if nobody knows it. */
  timeOf(seconds) {
    const points = this.#points;
    if (points.length === 0) return null;
    const n = Math.max(0, this.#before((point) => point[0] <= seconds));
    const [at, time] = points[n];
    const next = points[n + 1];
    if (!next || seconds < at) return time + (seconds - at) * 1000;
    const end = this.#ends.get(next[0]) ?? next[1];
    return time + (seconds - at) / (next[0] - at || 1) * (end - time);
  }

  /** The place of a time of day; inside a gap the first after it. */
  secondsOf(time) {
    const points = this.#points;
    if (points.length === 0) return null;
    const n = Math.max(0, this.#before((point) => point[1] <= time));
    const [at, start] = points[n];
    const seconds = at + (time - start) / 1000;
    return Math.max(0, points[n + 1] ? Math.min(seconds, points[n + 1][0]) : seconds);
  }

  // The last point for which it holds; the points are in order.
  #before(holds) {
    let [low, high] = [-1, this.#points.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (holds(this.#points[middle])) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  titleAt(seconds) {
    return this.titles.findLast(({ at }) => at <= seconds)?.text ?? '';
  }
}
