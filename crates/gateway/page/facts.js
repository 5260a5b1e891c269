// What the gateway knows of the tape that is open, and what it learns while that grows: its timeline, entry by entry, and how loud it
// is as a whole. What was asked about another tape is forgotten.

import { get, timeline } from './api.js';
import { isMeasured } from './gaps.js';
import { Tape } from './tape.js';

const TIMELINE_MS = 5000;
const LOUDNESS_MS = 10_000;

/** Says `news` when the timeline has grown, `gone` with the error when the gateway gives the recording no longer. */
export class Facts extends EventTarget {
  tape = new Tape(1);
  integrated = null;            // loudness of the whole tape in LUFS, as far as it is known
  #recording = null;
  #entries = 0;
  #asking = null;               // the answer that is waited for
  #final = false;               // whether the loudness will not change any more

  constructor() {
    super();
    setInterval(() => { if (!document.hidden) this.refresh().catch(() => null); }, TIMELINE_MS);
    setInterval(() => { if (!document.hidden) this.#measure(); }, LOUDNESS_MS);
  }

  open(recording) {
    this.#recording = recording;
    this.tape = new Tape(recording.spec.rate);
    this.#entries = 0;
    this.#asking = null;
    this.integrated = null;
    this.#final = false;
    this.#measure();
    this.refresh().catch(() => null);
  }

  /** Brings the timeline up to date; an error, if it cannot be had. */
  refresh() {
    if (!this.#recording || this.#recording.deleted) return Promise.resolve();
    if (this.#asking) return this.#asking;
    const asking = this.#ask().finally(() => { if (this.#asking === asking) this.#asking = null; });
    this.#asking = asking;
    return asking;
  }

  async #ask() {
    const recording = this.#recording;
    try {
      const { entries } = await timeline(recording.id, this.#entries);
      if (recording !== this.#recording || entries.length === 0) return;
      this.#entries += entries.length;
      this.tape.add(entries);
      this.dispatchEvent(new Event('news'));
    } catch (error) {
      // What the browser has loaded would be heard for a minute still.
      if (error.status === 404 && recording === this.#recording) this.dispatchEvent(new CustomEvent('gone', { detail: error }));
      throw error;
    }
  }

  // No list says how loud a recording is; while it grows that changes.
  async #measure() {
    const recording = this.#recording;
    if (!recording || recording.deleted || this.#final) return;
    const said = await get(`/recordings/${recording.id}`).catch(() => null);
    if (!said || recording !== this.#recording) return;
    const { loudness = null, sealed, edge } = said;
    this.integrated = loudness;
    this.#final = sealed !== null && loudness !== null && isMeasured(edge);
  }
}
