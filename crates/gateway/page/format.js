// Numbers as people read them, and back. Nothing here touches the document or asks the time.

const two = (n) => String(n).padStart(2, '0');

/** A position on a tape: `1:02:03`, with tenths where asked for. */
export function clock(seconds, places = 0) {
  const unit = 10 ** places;
  const whole = Math.floor(Math.max(0, seconds) * unit + 1e-6);
  const s = Math.floor(whole / unit);
  const rest = places ? `.${String(whole % unit).padStart(places, '0')}` : '';
  const minutes = s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}` : `${Math.floor(s / 60)}`;
  return `${minutes}:${two(s % 60)}${rest}`;
}

/** A length of time in words: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`. */
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A time of day of this place: `14:30:05`. */
export function timeOfDay(ms, withSeconds = true) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}${withSeconds ? `:${two(at.getSeconds())}` : ''}`;
}

/** The start of the day of this place in which `ms` lies. */
export const dayOf = (ms) => new Date(ms).setHours(0, 0, 0, 0);

/** The start of the day after: not always 24 hours later. */
export function nextDay(day) {
  const next = new Date(day);
  next.setDate(next.getDate() + 1);
  return next.getTime();
}

/** A day as people say it, seen from `now`. */
export function dayName(day, now) {
  const today = dayOf(now);
  if (day === today) return 'Today';
  if (nextDay(day) === today) return 'Yesterday';
  const options = { weekday: 'long', day: 'numeric', month: 'long' };
  if (new Date(day).getFullYear() !== new Date(now).getFullYear()) options.year = 'numeric';
  return new Intl.DateTimeFormat(undefined, options).format(day);
}

/** A day in few words, for beside a time: `today`, `Fri 27 Nov`. */
export function shortDay(ms, now) {
  const day = dayOf(ms);
  if (day === dayOf(now)) return 'today';
  if (nextDay(day) === dayOf(now)) return 'yesterday';
  const options = { weekday: 'short', day: 'numeric', month: 'short' };
  if (new Date(day).getFullYear() !== new Date(now).getFullYear()) options.year = 'numeric';
  return new Intl.DateTimeFormat(undefined, options).format(day);
}

/** A day as a field for dates has it, and back; `null` for none. */
export function dateField(day) {
  const at = new Date(day);
  return `${String(at.getFullYear()).padStart(4, '0')}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}
export function fromDateField(text) {
  const said = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  return said && new Date(Number(said[1]), Number(said[2]) - 1, Number(said[3])).getTime();
}

/** The start of the day that is so many days after (before, if negative). */
export function addDays(day, days) {
  const at = new Date(day);
  at.setDate(at.getDate() + days);
  return at.getTime();
}

/** A number of decibels with a minus that looks like one. */
export const signed = (number, places = 0) => number.toFixed(places).replace('-', '\u2212');

/** Level in dBFS, of a linear 0 to 1. */
export const decibels = (linear) => (linear > 0 ? 20 * Math.log10(linear) : -Infinity);

/**
 * What somebody typed as a place: `95`, `1:35`, `-30` (before the edge) as `{ seconds }` or `{ behind }`; `14:30` with a `h` or
 * three parts is a position too, so a time of day is said as `@14:30` or in full (RFC 3339), as `{ time }` in milliseconds.
 */
export function readPlace(text, now) {
  const said = text.trim();
  const parts = /^([-@]?)(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)$/.exec(said);
  if (!parts) {
    const time = /^\d{4}-\d\d-\d\dT/.test(said) ? Date.parse(said) : NaN;
    return Number.isNaN(time) ? null : { time };
  }
  const [, sign, hours = 0, minutes = 0, seconds] = parts;
  if (sign === '@') {
    const [h, m = 0, s = 0] = said.slice(1).split(':').map(Number);
    const at = new Date(now);
    at.setHours(h, m, s, 0);
    // Yesterday's, if today's is still to come.
    if (at.getTime() > now) at.setDate(at.getDate() - 1);
    return { time: at.getTime() };
  }
  const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return sign === '-' ? { behind: total } : { seconds: total };
}

/** Distance of ticks, so that about `count` fit into `length`: of the steps that a clock has. */
export function tickStep(length, count) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  return steps.find((step) => length / step <= count) ?? Math.ceil(length / count / 86400) * 86400;
}
