// What is done when what plays breaks off or ends: it goes on at the frame where it stopped; another rendition takes over where the
// browser cannot play one; what is gone is asked for no more. The newest load counts: an answer about one before changes nothing.

import { get, passes, status, tailOf } from './api.js';
import { NEVER, RENDITIONS } from './renditions.js';

const RETRY_MS = 2000;
const STUCK_MS = 8000;
const FAILURES = 3;             // so often in the same place, with an answer that is fine: it is the browser

export class Mending {
  #deck;
  #retry = null;
  #load = 0;                    // how often something was loaded
  #asked = -1;                  // the load about which the gateway is being asked
  #failures = 0;                // one after the other, in the same place
  #failedAt = 0;

  constructor(deck) {
    this.#deck = deck;
    deck.feed.addEventListener('state', () => { if (deck.feed.connected && this.busy) this.again(0); });
    setInterval(() => this.#watch(), 1000);
  }

  /** Whether it has broken off, and will be loaded again. */
  get busy() {
    return this.#retry !== null || this.#asked === this.#load;
  }

  /** Something is loaded: nothing has to be any more. */
  loaded() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#load += 1;
  }

  /** It plays, and is at this place; or somebody wants something else (without one). */
  forgive(at = Infinity) {
    if (at > this.#failedAt + 0.5) this.#failures = 0;
  }

  again(wait) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      if (this.#deck.recording) this.#deck.loadAgain();
    }, wait);
  }

  // Nothing came although there is something: a connection that says nothing any more is given up.
  #watch() {
    const deck = this.#deck;
    if (!deck.wanted || !deck.recording || this.busy) return;
    if (deck.still > STUCK_MS && deck.feed.connected && deck.edge > deck.at + 2) this.again(0);
  }

  /** The element has an error: is it the way to here, the gateway, or the browser? */
  async broken() {
    const deck = this.#deck;
    const load = this.#asked = this.#load;
    const isOld = () => load !== this.#load;
    const { recording, chosen: key, audio: { src } } = deck;
    try {
      const now = await get(`/recordings/${recording.id}`);
      if (isOld()) return;
      Object.assign(recording, now);
      this.#failures += 1;
      this.#failedAt = deck.at;
      const answer = await status(src);
      if (isOld()) return;
      if (NEVER.includes(answer) && key !== 'wav') return this.#never(key, `The gateway has no ${RENDITIONS[key].name} of this recording.`);
      const refuses = [MediaError.MEDIA_ERR_DECODE, MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED].includes(deck.audio.error?.code);
      if (answer !== null && answer < 400 && refuses && this.#failures >= FAILURES) return this.#never(key, `This browser cannot play ${RENDITIONS[key].name}.`);
      deck.breaks('Broken off; going on …');
      this.again(Math.min(RETRY_MS * 4, RETRY_MS / 4 * 2 ** (this.#failures - 1)));
    } catch (error) {
      if (isOld()) return;
      if (!passes(error)) return deck.gone(error);
      deck.breaks('The gateway is away; it goes on from here as soon as it is back.');
      this.again(RETRY_MS);
    } finally {
      if (this.#asked === load) this.#asked = -1;
    }
  }

  /** The element has come to an end. */
  async ended() {
    const load = this.#load;
    const tail = await tailOf(this.#deck.recording.id);
    if (load !== this.#load) return;
    // A polite end of what goes on is somebody in between who gave up; and nobody knows better while the gateway is away.
    if (!tail || tail.state === 'open') return this.again(tail ? 0 : RETRY_MS);
    this.#deck.over(tail.next ?? null);
  }

  // Another rendition takes over where there is one; else it stops and says so.
  #never(key, why) {
    this.#failures = 0;
    const other = this.#deck.refuse(key);
    this.#deck.fail(other ? `${why} Playing ${RENDITIONS[other].name} instead.` : why);
  }
}
