// The page: every stream and recording with a player. It uses nothing that another client could not use.
//
// A player holds a recording and where on it its media starts (`base`), so that the place on the tape is
// base + currentTime, whatever was loaded. Jumps load a new address with `pos`: one request, exact, in both directions.

const $ = (id) => document.getElementById(id);
const players = new Map();      // key -> Player
const tails = new Map();        // recording id -> {seconds, state, time}
const DAYS_SHOWN = 7;
const MOST_SHOWN = 60;
const RETRY_MS = 2000;

function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, '0');
  return `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

function timeOfDay(iso, shift = 0) {
  return iso ? new Date(Date.parse(iso) + shift * 1000).toLocaleTimeString() : '';
}

function unload(audio) {
  audio.removeAttribute('src');
  audio.load();
}

class Player {
  constructor(add, { name, stream, recording }) {
    const card = $('card').content.cloneNode(true).firstElementChild;
    this.find = (selector) => card.querySelector(selector);
    this.card = card;
    this.stream = stream;       // only for the card of a stream
    this.recording = recording;
    this.base = 0;
    this.again = 0;             // when it last joined its stream once more
    this.audio = this.find('audio');
    this.find('.name').textContent = name;
    this.find('.start').onclick = () => this.go(0);
    this.find('.back').onclick = () => this.go(this.position() - 10);
    this.find('.ahead').onclick = () => this.go(this.position() + 10);
    this.find('.live').onclick = () => this.live();
    this.find('.controls').onsubmit = (event) => {
      event.preventDefault();
      const where = this.find('.pos').value.trim();
      if (where) this.load(`pos=${encodeURIComponent(where)}`, Number(where) || 0);
    };
    this.audio.ontimeupdate = () => this.show();
    this.audio.onplay = () => { for (const other of players.values()) if (other !== this) other.leave(); };
    this.audio.onerror = () => this.explain();
    this.audio.onended = () => this.ended();
    this.ready();
    add(card);
  }

  // What the player's own button starts: the stream live, a recording from its start.
  ready() {
    this.base = this.stream ? Math.max(0, this.tail().seconds - 1) : 0;
    this.audio.src = this.stream ? `/streams/${this.stream}/live.wav` : this.address('');
    this.describe();
  }

  // Lets go of the connection, of which a browser has only a few for all players. Its own button goes on from here.
  leave() {
    const { audio } = this;
    const idle = audio.readyState === HTMLMediaElement.HAVE_NOTHING
      && audio.networkState !== HTMLMediaElement.NETWORK_LOADING;
    if (audio.paused && idle) return;
    const at = this.position();
    audio.pause();
    unload(audio);
    this.ready();
    if (this.stream || at === 0) return;
    this.base = at;
    audio.src = this.address(`pos=${at.toFixed(3)}`);
    this.show();
  }

  address(query) {
    const growing = this.tail().state !== 'ended';
    // A finished recording gets an address of its own: browsers keep what they had under the old one.
    const parts = [query, growing ? 'len=star' : 'v=end'].filter(Boolean);
    return `/recordings/${this.recording.id}/audio.wav?${parts.join('&')}`;
  }

  load(query, base) {
    this.base = base;
    this.find('.trouble').textContent = '';
    this.audio.src = this.address(query);
    this.audio.play().catch(() => {});
  }

  go(seconds) {
    const { seconds: end, state } = this.tail();
    if (state !== 'ended' && seconds > end - 1) return this.live();
    const to = Math.max(0, Math.min(seconds, Math.max(0, end - 0.1)));
    this.load(to > 0 ? `pos=${to.toFixed(3)}` : '', to);
  }

  live() {
    const { seconds, state } = this.tail();
    if (state === 'ended' && !this.stream) return this.go(seconds - 10);
    if (!this.stream) return this.load(`pos=${Math.max(0, seconds - 1).toFixed(3)}`, Math.max(0, seconds - 1));
    this.find('.trouble').textContent = '';
    this.base = Math.max(0, seconds - 1);
    this.audio.src = `/streams/${this.stream}/live.wav?v=${Date.now()}`;
    this.audio.play().catch(() => {});
  }

  tail() {
    const { id, seconds, sealed } = this.recording;
    return tails.get(id) ?? { seconds: seconds ?? 0, state: sealed ? 'ended' : 'live', time: this.recording.edge };
  }

  position() {
    return this.base + (this.audio.currentTime || 0);
  }

  // The end of a growing recording: from now on its finished form is played, from where we are.
  ended() {
    const at = this.position();
    tails.set(this.recording.id, { ...this.tail(), state: 'ended' });
    refresh();
    if (this.stream) return this.ready();
    this.base = 0;
    this.audio.src = this.address('');
    this.audio.onloadedmetadata = () => {
      this.audio.onloadedmetadata = null;
      this.audio.currentTime = Math.min(at, this.audio.duration || at);
    };
  }

  async explain() {
    const source = this.audio.currentSrc;
    if (!source) return;
    const reply = await fetch(source, { method: 'HEAD' }).catch(() => null);
    // Broken off while the stream goes on, as when its audio changes its kind.
    if (this.stream && reply?.ok && this.audio.currentTime > 0 && Date.now() > this.again + RETRY_MS) {
      this.again = Date.now();
      return this.live();
    }
    const why = reply && !reply.ok ? await fetch(source).then((r) => r.json()).catch(() => null) : null;
    const text = why ? `${why.error}: ${why.hint}` : 'The gateway cannot be reached, or this browser cannot play it.';
    this.find('.trouble').textContent = text;
  }

  describe() {
    const { id, spec, started, source, urls } = this.recording;
    const when = new Date(started).toLocaleString();
    const shape = `${spec.format}, ${spec.rate / 1000} kHz, ${spec.channels} ch`;
    this.find('.about').textContent = `${shape} · ${source} · since ${when}`;
    const player = 'an address for VLC, mpv and other players';
    const links = [
      ...(this.stream ? [['live.wav', `/streams/${this.stream}/live.wav`, { title: player }]] : []),
      ['audio.wav', urls.wav, { title: player }],
      ['save', `${urls.wav}?len=now`, { title: 'what there is now, as WAV', download: '' }],
      ['save PCM', `${urls.pcm}?len=now`, { title: 'what there is now, as PCM', download: '' }],
      ['timeline', urls.timeline], [id.slice(0, 13), `/recordings/${id}`],
    ].map(([text, href, more]) => Object.assign(document.createElement('a'), { textContent: text, href, ...more }));
    this.find('.links').replaceChildren(...links);
    this.show();
  }

  show() {
    const { seconds, state, time } = this.tail();
    const badge = this.find('.state');
    badge.textContent = state;
    badge.className = `state ${state}`;
    const at = this.position();
    const started = this.audio.played.length > 0 || this.base > 0;
    const away = started && time ? ` · ≈ ${timeOfDay(time, at - seconds)}` : '';
    this.find('.position').textContent = started ? `${clock(at)}${away}` : '–';
    this.find('.tail').textContent = `of ${clock(seconds)}${time ? ` · ${timeOfDay(time)}` : ''}`;
  }
}

async function get(address) {
  const reply = await fetch(address);
  if (reply.status === 401) $('login').hidden = false;
  if (!reply.ok) throw new Error((await reply.json()).error);
  return reply.json();
}

function place(key, add, wanted) {
  const old = players.get(key);
  if (!old) return players.set(key, new Player(add, wanted));
  const moved = old.recording.id !== wanted.recording.id;
  old.recording = wanted.recording;
  if (moved && old.audio.paused) old.ready();
  else old.describe();
}

let refreshing = null;
function refresh() {
  refreshing ??= load().catch((error) => { $('status').textContent = error.message; })
    .finally(() => { refreshing = null; });
  return refreshing;
}

// Lists begin with the oldest: the newest are at their end. The next time only those are asked for that may be shown.
let before = '';                // id of a recording that is too old to be shown
async function newest() {
  const since = encodeURIComponent(new Date(Date.now() - DAYS_SHOWN * 86400e3).toISOString());
  let shown = [];
  for (let next = before; next !== null;) {
    const page = await get(`/recordings?limit=1000&from=${since}${next && `&after=${next}`}`);
    shown = [...shown, ...page.recordings].slice(-MOST_SHOWN - 1);
    next = page.next;
  }
  if (shown.length > MOST_SHOWN) before = shown.shift().id;
  return shown;
}

async function load() {
  const [{ streams }, recordings] = await Promise.all([get('/streams'), newest()]);
  $('no-streams').hidden = streams.length > 0;
  const wanted = new Set();
  for (const { name, title, recording } of streams) {
    if (!recording) continue;   // none was begun yet
    wanted.add(`s/${name}`);
    place(`s/${name}`, (card) => $('streams').append(card), { name: title ? `${name} – ${title}` : name, stream: name, recording });
  }
  // The newest first. A card that is there stays where it is: moving it would stop its audio.
  for (const recording of recordings) {
    wanted.add(recording.id);
    place(recording.id, (card) => $('recordings').prepend(card), { name: recording.stream, recording });
  }
  for (const [key, player] of players) {
    if (wanted.has(key)) continue;
    unload(player.audio);
    player.card.remove();
    players.delete(key);
  }
}

let events = null;
function listen() {
  events?.close();
  events = new EventSource('/events');
  events.onopen = () => { $('status').textContent = 'connected'; refresh(); };
  events.onerror = () => {
    $('status').textContent = 'the gateway is away; trying again …';
    // A browser does not try again by itself when it was refused: is it that one has to log in?
    if (events.readyState === EventSource.CLOSED) refresh();
  };
  events.onmessage = ({ data }) => {
    const { stream, recording, seconds, state, time } = JSON.parse(data);
    tails.set(recording, { seconds, state, time });
    if (players.get(`s/${stream}`)?.recording.id !== recording) refresh();
    for (const player of players.values()) if (player.recording.id === recording) player.show();
  };
}

// A token that is shown once becomes a cookie, which no script can read: players and event streams send it by themselves.
async function login(event) {
  event.preventDefault();
  const token = $('token').value.trim();
  $('token').value = '';
  const reply = await fetch('/session', { method: 'POST', headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
  $('refused').textContent = reply?.ok ? '' : (await reply?.json().catch(() => null))?.error ?? 'The gateway cannot be reached.';
  $('login').hidden = Boolean(reply?.ok);
  if (reply?.ok) begin();
}

async function logout() {
  await fetch('/session', { method: 'DELETE' }).catch(() => null);
  location.reload();
}

function begin() {
  fetch('/session').then((reply) => reply.json()).then(({ way }) => { $('logout').hidden = way === 'anonymous'; }).catch(() => {});
  return refresh().then(listen);
}

$('login').onsubmit = login;
$('logout').onclick = logout;
begin();
