// The gaps of the recordings that are in sight, and how loud they are: no list says either. A recording without any costs one
// short question; of one that grows it is asked again from time to time; what was not answered is asked again.

import { get, now, timeline } from './api.js';
import { Tape } from './tape.js';

const AGAIN_MS = 15_000;
const AT_ONCE = 2;
const TRIES = 4;                // so often a finished one is asked how loud it is: of silence nobody says that
const MEASURED_MS = 60_000;     // after its end how loud it is does not change any more

/** Whether a recording that ended then has been measured to its end. */
export const isMeasured = (ended) => now() - Date.parse(ended) > MEASURED_MS;

export class Gaps {
  #known = new Map();           // recording -> { tape, entries, gaps, loudness, asked, tries, whole }
  #waiting = [];
  #busy = 0;
  #found;

  /** `found` is called when there is news. */
  constructor(found) {
    this.#found = found;
  }

  of(id) {
    return this.#known.get(id)?.tape?.gaps ?? [];
  }

  count(id) {
    return this.#known.get(id)?.gaps ?? 0;
  }

  /** Its integrated loudness in LUFS; `null` while it is not known. */
  loudness(id) {
    return this.#known.get(id)?.loudness ?? null;
  }

  /** Whether it was asked for once, and more is to come. */
  expects(id) {
    return this.#known.get(id)?.whole === false;
  }

  /** A recording has come into sight. */
  look(recording) {
    if (!this.#known.get(recording.id)?.whole) this.again(recording);
  }

  /** It may have more of them by now. */
  again(recording) {
    const known = this.#known.get(recording.id) ?? { tape: null, entries: 0, gaps: 0, loudness: null, asked: -Infinity, tries: 0, whole: false };
    this.#known.set(recording.id, known);
    if (known.whole || performance.now() - known.asked < AGAIN_MS) return;
    known.asked = performance.now();
    this.#waiting.push([recording, known]);
    this.#next();
  }

  // A few at once: a page of recordings is not a reason for a hundred requests.
  async #next() {
    if (this.#busy >= AT_ONCE || this.#waiting.length === 0) return;
    this.#busy += 1;
    const [{ id, spec }, known] = this.#waiting.shift();
    try {
      const { gaps, sealed, edge, loudness = null } = await get(`/recordings/${id}`);
      if (gaps > known.gaps || (gaps > 0 && !known.tape)) {
        const { entries } = await timeline(id, known.entries);
        known.tape ??= new Tape(spec.rate);
        known.tape.add(entries);
        known.entries += entries.length;
      }
      const news = gaps !== known.gaps || loudness !== known.loudness;
      known.tries += sealed === null ? 0 : 1;
      const whole = sealed !== null && (known.tries >= TRIES || (loudness !== null && isMeasured(edge)));
      Object.assign(known, { gaps: gaps ?? 0, loudness, whole });
      if (news) this.#found();
    } catch {
      // The gateway is away, or busy, or it was deleted meanwhile: asked again while it is shown.
    }
    this.#busy -= 1;
    this.#next();
  }
}
