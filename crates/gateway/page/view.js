// Which part of a tape is seen: seconds from `from` on, `length` of them. It follows the edge until somebody looks elsewhere. What is
// no number moves nothing: a view that is nowhere would never come back.

const SHORTEST = 1;
const USED = 0.96;              // the rest is room after the edge

const areNumbers = (...all) => all.every(Number.isFinite);

export class View {
  from = 0;
  length = 60;
  follows = true;
  #all = false;                 // the whole tape, however long it becomes

  get to() {
    return this.from + this.length;
  }

  /** Keeps it where there is something to see; a little room is left after the edge. */
  settle(edge) {
    this.length = Math.max(this.#all ? edge / USED : this.length, SHORTEST);
    const last = Math.max(0, edge - this.length * USED);
    this.from = this.follows ? last : Math.min(Math.max(0, this.from), last);
  }

  zoom(factor, around, edge) {
    if (!areNumbers(factor, around, edge)) return;
    this.#all = false;
    const whole = Math.max(edge / USED, SHORTEST);
    const length = Math.min(Math.max(this.length * factor, SHORTEST), whole);
    const near = this.follows && around > edge - this.length * 0.1;
    this.from = around - (around - this.from) * (length / this.length);
    this.length = length;
    this.follows = near;
    this.settle(edge);
  }

  pan(seconds, edge) {
    if (!areNumbers(seconds, edge)) return;
    this.from += seconds;
    this.#all = false;
    this.follows = this.to > edge + this.length * 0.02;
    this.settle(edge);
  }

  /** Just this part. */
  set(from, to, edge) {
    if (!areNumbers(from, to, edge)) return;
    this.#all = false;
    this.length = Math.max(SHORTEST, to - from);
    this.from = from;
    this.follows = to > edge - this.length * 0.02;
    this.settle(edge);
  }

  /** Brings a place into sight, if it is not. */
  show(place, edge) {
    if (!areNumbers(place, edge) || this.#all || (place >= this.from && place <= this.to - this.length * 0.02)) return;
    this.follows = place > edge - this.length * 0.2;
    this.from = place - this.length * 0.3;
    this.settle(edge);
  }

  whole(edge) {
    this.follows = true;
    this.#all = true;
    this.settle(edge);
  }
}
