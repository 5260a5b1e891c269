// <livetape-archive>: recordings by day, newest first: so many days up to the one that is chosen. A bar of each day shows at which
// times there is audio, and where it is missing.

import { get, now, pages } from './api.js';
import { ICONS, button, h } from './dom.js';
import { addDays, dateField, dayName, dayOf, fromDateField, nextDay } from './format.js';
import { Gaps } from './gaps.js';
import { Lane } from './lane.js';
import { row, tellRow } from './row.js';

const DAYS = 7;
const MOST = 300;               // recordings that are shown at once; the older ones of these days are an `earlier` away
const GROW_MS = 5000;

export class Archive extends HTMLElement {
  recordings = [];
  #shown = '';
  #day = null;                  // the last one that is shown; `null` for the newest on which there was something
  #latest = null;               // when the newest recording was going on

  /** `place` is where the choice of the day goes. */
  begin(feed, rights, place) {
    this.feed = feed;
    this.rights = rights;
    this.gaps = new Gaps(() => this.#grow());
    this.date = h('input', { type: 'date', 'aria-label': 'Recordings up to this day', max: dateField(now()),
      onchange: () => this.#go(fromDateField(this.date.value)) });
    this.later = button('later', { picture: ICONS.later, label: 'Later days' }, () => this.#go(addDays(this.#end, DAYS)));
    place.append(button('earlier', { picture: ICONS.earlier, label: 'Earlier days' }, () => this.#go(addDays(this.#oldest, -1))),
      this.date, this.later, button('today', { text: 'Newest' }, () => this.#go(null)));
    this.none = h('p', { class: 'quiet none', role: 'status' });
    this.days = h('div', {});
    this.append(this.none, this.days);
    setInterval(() => { if (this.recordings.length && !document.hidden) this.#grow(); }, GROW_MS);
    this.seen = new IntersectionObserver((found) => {
      for (const { isIntersecting, target } of found) if (isIntersecting) this.gaps.look(target.recording);
    });
  }

  // The last day that is shown.
  get #end() {
    const today = dayOf(now());
    return Math.min(this.#day ?? (this.#latest === null ? today : dayOf(this.#latest)), today);
  }

  get #start() {
    return addDays(this.#end, 1 - DAYS);
  }

  // The first day of which everything is shown.
  get #oldest() {
    const { recordings } = this;
    return this.cut ? Math.max(this.#start, dayOf(Date.parse(recordings[0].started))) : this.#start;
  }

  async #go(day) {
    // Today stays today when it is past midnight.
    this.#day = day !== null && day >= dayOf(now()) ? Infinity : day;
    await this.refresh(this.#latest).catch((error) => { this.none.textContent = error.message; });
  }

  /** Asks for what there is in these days. `latest` is when the newest recording of all was going on. */
  async refresh(latest) {
    this.#latest = latest;
    const [from, to] = [this.#start, nextDay(this.#end)];
    const span = [from, to].map((ms) => encodeURIComponent(new Date(ms).toISOString()));
    const found = await pages(`/recordings?limit=1000&from=${span[0]}&to=${span[1]}`, 'recordings');
    if (from !== this.#start) return;
    this.cut = found.length > MOST;
    this.#update(found.slice(-MOST));
  }

  #update(recordings) {
    const signature = JSON.stringify([this.#start, dayOf(now()), recordings.map(({ id, title, locked, sealed, stream }) =>
      [id, title, locked, sealed, stream, this.rights.manages(stream)])]);
    this.recordings = recordings;
    for (const one of this.querySelectorAll('li')) one.recording = recordings.find(({ id }) => id === one.recording.id) ?? one.recording;
    this.date.max = dateField(now());
    this.date.value = dateField(this.#end);
    this.later.disabled = this.#end >= dayOf(now());
    this.none.textContent = recordings.length || this.#latest === null ? '' : `Nothing was recorded in the ${DAYS} days up to this one.`;
    if (signature === this.#shown) return this.#grow();
    this.#shown = signature;
    this.seen.disconnect();
    const days = Array.from({ length: DAYS }, (_, n) => addDays(this.#end, -n));
    this.days.replaceChildren(...days.map((day) => this.#section(day)).filter(Boolean));
    for (const one of this.querySelectorAll('li')) this.seen.observe(one);
    this.#grow();
  }

  #ends({ id, edge, started }) {
    return Date.parse(this.feed.tails.get(id)?.time ?? edge ?? started);
  }

  // One day with all that was going on in it, also what began the day before.
  #section(day) {
    const list = this.recordings.filter((one) => Date.parse(one.started) < nextDay(day) && (this.#ends(one) >= day || !one.sealed)).toReversed();
    if (list.length === 0) return null;
    const title = dayName(day, now());
    const lanes = [...Map.groupBy(list, ({ stream }) => stream)].sort().map(([stream, ones]) => new Lane(this, day, stream, ones.map(({ id }) => id)));
    return h('section', { class: 'day', 'aria-label': title }, h('h3', {}, title),
      h('div', { class: 'lanes' }, ...lanes,
        h('div', { class: 'hours', 'aria-hidden': 'true' }, ...[0, 6, 12, 18].map((hour) => h('span', {}, `${String(hour).padStart(2, '0')}:00`)))),
      h('ol', {}, ...list.map((one) => row(one, day, this.rights.manages(one.stream), () => this.#changed()))));
  }

  #changed() {
    this.#shown = '';
    this.dispatchEvent(new Event('changed', { bubbles: true }));
  }

  /** The recordings with these ids, with what is known of each: when it ends, and its gaps. */
  parts(ids) {
    return this.recordings.filter(({ id }) => ids.includes(id)).map((recording) => ({
      recording, from: Date.parse(recording.started), to: this.#ends(recording), gaps: this.gaps.of(recording.id),
    }));
  }

  /** Plays a recording from a time of day on. */
  open(recording, time) {
    this.dispatchEvent(new CustomEvent('open', { bubbles: true, detail: { recording, time } }));
  }

  // What lies on the bars changes as recordings grow.
  #grow() {
    for (const lane of this.querySelectorAll('livetape-lane')) lane.draw();
    for (const one of this.querySelectorAll('li')) {
      const seconds = this.feed.tails.get(one.recording.id)?.seconds ?? one.recording.seconds ?? 0;
      tellRow(one, seconds, this.gaps.count(one.recording.id), this.gaps.loudness(one.recording.id));
      const more = !one.recording.sealed || this.gaps.expects(one.recording.id);
      if (more && one.checkVisibility()) this.gaps.again(one.recording);
    }
  }

  /** One that is shown, or what the gateway knows of it. */
  async find(id) {
    return this.recordings.find((one) => one.id === id) ?? get(`/recordings/${id}`);
  }
}

customElements.define('livetape-archive', Archive);
