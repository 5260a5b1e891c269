// The gateway, as any other client asks it. The time is the gateway's: the clock of the browser's machine may be wrong.

/** An answer that is no, with what the gateway says about it. */
export class Refused extends Error {
  constructor(status, said, after = null) {
    super([said?.error ?? `the gateway answers ${status}`, said?.hint].filter(Boolean).join(': '));
    this.status = status;
    this.after = after;         // in how many seconds to ask again, if it says so
  }
}

/** Whether it may be another answer a little later: it is worth to ask again. */
export const passes = (error) => !(error instanceof Refused) || error.status >= 500 || error.status === 429;

// No answer takes longer: a connection on which nothing comes any more is not waited for.
const PATIENCE_MS = 20_000;

let ahead = null;               // of the gateway's clock before performance.now(), in milliseconds

/** The gateway's time of day, in milliseconds. */
export const now = () => performance.now() + (ahead ?? Date.now() - performance.now());

async function ask(address, options = {}) {
  try {
    return await read(await fetch(address, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) }));
  } catch (error) {
    throw ['TimeoutError', 'AbortError'].includes(error.name) ? new Error('the gateway does not answer') : error;
  }
}

async function read(reply) {
  const date = Date.parse(reply.headers.get('Date') ?? '');
  if (!Number.isNaN(date)) ahead = date - performance.now();
  if (!reply.ok) {
    const after = Number(reply.headers.get('Retry-After') ?? NaN);
    throw new Refused(reply.status, await reply.json().catch(() => null), Number.isFinite(after) ? after : null);
  }
  return reply.status === 204 ? null : reply.json();
}

/** What there is at an address, as JSON. */
export const get = (address) => ask(address);

/** With which status an address is answered; `null` if it is not. */
export async function status(address) {
  const reply = await fetch(address, { method: 'HEAD', signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => null);
  return reply?.status ?? null;
}

/** Changes something. */
export function send(method, address, body) {
  const json = body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  return ask(address, { method, ...json });
}

/** Shows a token, which then becomes a cookie that no script can read. */
export const login = (token) => ask('/session', { method: 'POST', headers: { Authorization: `Bearer ${token}` } });

/** All pages of a list, of whose parts the answers call one `key`; at most so many pages. */
export async function pages(address, key, most = 100) {
  const all = [];
  for (let [next, n] = ['', 0]; next !== null && n < most; n += 1) {
    const page = await get(next ? `${address}${address.includes('?') ? '&' : '?'}after=${encodeURIComponent(next)}` : address);
    all.push(...page[key]);
    next = page.next ?? null;
  }
  return all;
}

/** How far a recording goes, and in which one its stream goes on; `null` while nobody says. */
export async function tailOf(id) {
  const page = await get(`/recordings/${id}/timeline?limit=1`).catch(() => null);
  return page?.tail ?? null;
}

const MOST_ENTRIES = 50_000;

/** The timeline of a recording from entry `after` on: its entries, and how many there are now. */
export async function timeline(id, after = 0) {
  const entries = [];
  let [next, tail] = [after, null];
  while (next !== null && entries.length < MOST_ENTRIES) {
    const page = await get(`/recordings/${id}/timeline?after=${next}`);
    entries.push(...page.entries);
    ({ next, tail } = page);
  }
  return { entries, tail };
}
