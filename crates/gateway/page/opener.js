// What is in the player, and why: what the address says, what was pressed, with what a stream goes on. The newest wish wins: a slow
// answer to one before it opens nothing any more.

import { get, passes } from './api.js';

const AGAIN_MS = 2000;

export class Opener {
  listening = null;             // the stream that is followed from one recording into the next
  #player;
  #archive;
  #streams;
  #tell;
  #wish = 0;

  /** `streams` gives them as they are listed; `tell` takes an error, or `null` when something was opened. */
  constructor({ player, archive, streams, tell }) {
    [this.#player, this.#archive, this.#streams, this.#tell] = [player, archive, streams, tell];
    player.addEventListener('next', ({ detail }) => this.#next(detail));
    // Nothing else is opened by itself: what is said of it would be gone, too.
    player.deck.addEventListener('gone', () => this.#wished(null));
  }

  // Somebody wants something else, of this stream from now on. Gives a question: is that still what is wanted?
  #wished(stream) {
    this.listening = stream;
    this.#wish += 1;
    const wish = this.#wish;
    return () => wish === this.#wish;
  }

  #open(recording, how) {
    this.#player.open(recording, how);
    this.#tell(null);
  }

  /** Plays a stream from its live edge. */
  listen({ name, recording }) {
    this.#wished(name);
    history.replaceState(null, '', `#/streams/${name}`);
    this.#open(recording, { play: true });
  }

  /** Plays a recording from a time of day on, for which its timeline has to be there. */
  async playAt(recording, time) {
    const isWanted = this.#wished(null);
    this.#open(recording, { place: 0 });
    const why = await this.#player.facts.refresh().then(() => '', ({ message }) => message);
    if (!isWanted() || (!why && this.#player.playAt(time))) return;
    this.#tell(new Error(`It cannot be told where on the tape that is: ${why || 'nobody knows its times of day'}`));
  }

  /** Opens what the address says; the first live stream, if it says nothing. */
  async route() {
    const [path, query = ''] = location.hash.slice(1).split('?');
    const [, kind, name] = path.split('/');
    const said = new URLSearchParams(query);
    const number = (key) => (said.has(key) && Number.isFinite(Number(said.get(key))) ? Number(said.get(key)) : null);
    const isWanted = this.#wished(kind === 'recordings' ? null : this.listening);
    try {
      if (kind === 'recordings' && name) {
        const [from, to] = [number('from'), number('to')];
        const selection = from !== null && to > from ? { from, to } : null;
        const one = await this.#archive.find(name);
        if (isWanted()) this.#open(one, { place: number('pos') ?? from, selection });
        return;
      }
      const all = this.#streams().filter((stream) => stream.recording);
      const stream = kind === 'streams' && name ? await get(`/streams/${name}`) : ['live', 'silent'].map((one) => all.find(({ state }) => state === one)).find(Boolean) ?? all[0];
      if (!stream?.recording || !isWanted()) return;
      this.listening = stream.name;
      this.#open(stream.recording);
    } catch (error) {
      if (isWanted()) this.#tell(error);
    }
  }

  /** What is followed may have gone on in another recording: that is opened, unless it would disturb somebody. */
  follow() {
    const player = this.#player;
    const one = this.listening && this.#streams().find(({ name }) => name === this.listening)?.recording;
    if (one && one.id !== player.recording?.id && player.isIdle) this.#open(one);
  }

  // At the end of what somebody hears, until it can be had or something else is wanted.
  async #next(id) {
    const { deck, monitor } = this.#player;
    const stop = () => {
      deck.wanted = false;
      monitor.stop();
    };
    if (!this.listening) return stop();
    const isWanted = this.#wished(this.listening);
    while (isWanted()) {
      try {
        const one = await get(`/recordings/${id}`);
        if (isWanted()) this.#open(one, monitor.on ? { monitor: true } : { place: 0, play: deck.wanted });
        return;
      } catch (error) {
        if (!isWanted()) return;
        this.#tell(error);
        if (!passes(error)) return stop();
        await new Promise((done) => { setTimeout(done, AGAIN_MS); });
      }
    }
  }
}
