// <livetape-archive>: recordings by day, newest first: so many days up to the one that is chosen. A bar of each day shows at which
// times there is audio, and where it is missing.

import { get, now, pages } from './api.js';
import { ICONS, arrange, button, h, say } from './dom.js';
import { addDays, dateField, dayName, dayOf, fromDateField, nextDay } from './format.js';
import { Gaps } from './gaps.js';
import { Lane } from './lane.js';
import { row, sameRow, tellRow } from './row.js';

const DAYS = 7;
const MOST = 300;               // recordings that are shown at once; the older ones of these days are an `earlier` away
const GROW_MS = 5000;
const WHOLE_MS = 60_000;        // so often all that is in sight is asked for: others may have named or deleted something

export class Archive extends HTMLElement {
  recordings = [];
  #asked = -Infinity;           // when all of it was asked for
  #range = '';                  // for which days; nothing where what is shown may be wrong
  #inSight = false;
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
    new IntersectionObserver(([{ isIntersecting }]) => { this.#inSight = isIntersecting; }).observe(this);
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
    await this.refresh(this.#latest, []).catch((error) => { this.none.textContent = error.message; });
  }

  /** What is shown may be wrong: all of it is asked for the next time. */
  forget() {
    this.#range = '';
  }

  /**
   * Brings what there is in these days up to date. `latest` is when the newest recording of all was going on, `current` the newest
   * one of each stream, as they are listed: what is new is known by them, so that little is asked for most of the time.
   */
  async refresh(latest, current) {
    this.#latest = latest;
    const [from, to] = [this.#start, nextDay(this.#end)];
    const range = `from=${encodeURIComponent(new Date(from).toISOString())}&to=${encodeURIComponent(new Date(to).toISOString())}`;
    const whole = range !== this.#range || performance.now() - this.#asked > (this.#inSight ? WHOLE_MS : Infinity);
    const kept = whole ? [] : this.#unchanged(current, from, to);
    if (whole) [this.#asked, this.#range] = [performance.now(), range];
    const after = kept.length > 0 ? `&after=${kept.at(-1).id}` : '';
    const rest = kept === this.recordings ? [] : await pages(`/recordings?limit=1000&${range}${after}`, 'recordings').catch((error) => {
      this.forget();
      throw error;
    });
    if (from !== this.#start) return;
    const found = [...kept, ...rest];
    this.cut = found.length > MOST || (!whole && this.cut);
    this.#update(found.slice(-MOST).map((one) => current.find(({ id }) => id === one.id) ?? one));
  }

  // Those of which nothing new is expected: all, unless one has begun, or one was going on with which its stream has not gone on.
  #unchanged(current, from, to) {
    const newest = new Set(current.map(({ id }) => id));
    const over = this.recordings.findIndex(({ id, sealed }) => !sealed && !newest.has(id));
    if (over >= 0 && current.length > 0) return this.recordings.slice(0, over);
    const known = new Set(this.recordings.map(({ id }) => id));
    const isNew = ({ id, started, edge, sealed }) => !known.has(id) && Date.parse(started) < to && (!sealed || Date.parse(edge ?? started) >= from);
    return current.some(isNew) ? [...this.recordings] : this.recordings;
  }

  #update(recordings) {
    this.recordings = recordings;
    this.date.max = dateField(now());
    this.date.value = dateField(this.#end);
    this.later.disabled = this.#end >= dayOf(now());
    say(this.none, recordings.length || this.#latest === null ? '' : `Nothing was recorded in the ${DAYS} days up to this one.`);
    const days = Array.from({ length: DAYS }, (_, n) => addDays(this.#end, -n)).map((day) => [day, this.#on(day)]).filter(([, list]) => list.length > 0);
    arrange(this.days, days, { key: ([day]) => day, make: ([day]) => this.#section(day), tell: (section, [day, list]) => this.#fill(section, day, list) });
    this.#grow();
  }

  #ends({ id, edge, started }) {
    return Date.parse(this.feed.tails.get(id)?.time ?? edge ?? started);
  }

  // All that was going on in a day, also what began the day before.
  #on(day) {
    return this.recordings.filter((one) => Date.parse(one.started) < nextDay(day) && (this.#ends(one) >= day || !one.sealed)).toReversed();
  }

  #section(day) {
    const parts = { title: h('h3', {}), lanes: h('div', {}), rows: h('ol', {}) };
    const hours = h('div', { class: 'hours', 'aria-hidden': 'true' }, ...[0, 6, 12, 18].map((hour) => h('span', {}, `${String(hour).padStart(2, '0')}:00`)));
    return Object.assign(h('section', { class: 'day' }, parts.title, h('div', { class: 'lanes' }, parts.lanes, hours), parts.rows), { parts });
  }

  // What is there already stays, with the focus that may be in it.
  #fill(section, day, list) {
    const { title, lanes, rows } = section.parts;
    section.setAttribute('aria-label', dayName(day, now()));
    say(title, dayName(day, now()));
    const streams = [...Map.groupBy(list, ({ stream }) => stream)].sort();
    arrange(lanes, streams, { key: ([stream]) => stream, make: ([stream]) => new Lane(this, day, stream),
      tell: (lane, [, ones]) => { lane.ids = ones.map(({ id }) => id); } });
    arrange(rows, list, { key: ({ id }) => id, tell: (item, one) => { item.recording = one; }, same: (item, one) => sameRow(item, one, this.#may(one)),
      make: (one) => {
        const item = row(one, day, this.#may(one), () => this.#changed());
        this.seen.observe(item);
        return item;
      } });
  }

  #may({ stream }) {
    return this.rights.manages(stream);
  }

  #changed() {
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
