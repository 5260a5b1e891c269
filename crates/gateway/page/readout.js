// What the player says of itself: where it is, how far behind the edge, what may be pressed, how loud it is. It changes nothing but that.

import { now } from './api.js';
import { offer } from './controls.js';
import { ICONS, icon, say } from './dom.js';
import { clock, shortDay, signed, span, timeOfDay } from './format.js';

const SAMPLES = { s16: '16 bit', s24: '24 bit', s32: '32 bit', f32: '32 bit float' };
const STATES = { waiting: 'lost', ended: 'finished' };

export class Readout {
  #player;
  #info = '';                   // shape of the tape

  constructor(player) {
    this.#player = player;
  }

  /** What is open, and what may be done with it. */
  describe() {
    const { recording: { stream, title, spec }, deck, tools, rights, name } = this.#player;
    say(name, title || stream);
    const channels = spec.channels === 1 ? 'mono' : spec.channels === 2 ? 'stereo' : `${spec.channels} channels${spec.layout ? ` (${spec.layout})` : ''}`;
    this.#info = [title ? stream : '', `${spec.rate / 1000} kHz ${channels}, ${SAMPLES[spec.format] ?? spec.format}`].filter(Boolean).join(' · ');
    offer(tools.rendition, deck.choices, deck.rendition);
    tools.mark.hidden = !rights.manages(stream);
  }

  /** The level where one listens: at the edge as it is told, elsewhere as it was drawn. */
  hear() {
    const { recording, deck, monitor, wave, feed, facts, meter, loudness } = this.#player;
    if (!recording || document.hidden) return;
    const place = monitor.on ? monitor.position : deck.playing ? deck.position : null;
    const levels = place === null ? null : feed.levelAt(recording, place) ?? wave.levelAt(place);
    const whole = facts.integrated === null ? '' : `${signed(facts.integrated, 1)} LUFS`;
    const peak = meter.show(levels, whole);
    const here = place === null ? '' : peak <= -60 ? 'silence' : `${signed(peak)} dB`;
    say(loudness, [here, whole && `whole ${whole}`].filter(Boolean).join(' · '));
  }

  /** Everything that moves. */
  show() {
    const { recording, deck, wave, keys, feed, state, about, trouble, monitor, session } = this.#player;
    const { position, edge, growing, live, playing } = deck;
    const { state: told, seconds } = feed.tail(recording);
    const moved = Math.abs(wave.position - position) + Math.abs(wave.edge - edge) > wave.view.length / wave.clientWidth / 2;
    if (moved || wave.growing !== growing) {
      const wasSeen = wave.position >= wave.view.from && wave.position <= wave.view.to;
      Object.assign(wave, { position, edge, growing, recorded: seconds });
      if (playing && wasSeen) wave.view.show(position, edge);
      wave.refresh();
    }
    const word = STATES[told] ?? told;
    say(state, word);
    state.className = `state ${word}`;
    const time = wave.tape.timeOf(position);
    say(keys.time, time === null ? '–' : timeOfDay(time));
    say(keys.day, time === null ? '' : `${shortDay(time, now())} · `);
    say(keys.at, clock(position, 1));
    say(keys.of, ` of ${clock(edge)}`);
    const titled = wave.tape.titleAt(position);
    say(about, [titled && `♪ ${titled}`, this.#info].filter(Boolean).join(' · '));
    this.#buttons(playing, live, growing);
    say(trouble, monitor.trouble || deck.trouble);
    this.#player.classList.toggle('waiting', deck.wanted && playing && this.#player.audio.readyState < 3);
    session.show({ recording, titled });
  }

  #buttons(playing, live, growing) {
    const { keys, tools, deck, monitor } = this.#player;
    const sounds = playing || monitor.on;
    const label = sounds ? 'Pause (space)' : 'Play (space)';
    if (keys.play.title !== label) {
      keys.play.title = label;
      keys.play.setAttribute('aria-label', label);
      keys.play.replaceChildren(icon(sounds ? ICONS.pause : ICONS.play));
    }
    const isHeard = live && (playing || monitor.on);
    keys.lag.hidden = !growing;
    keys.lag.className = `lag ${monitor.on ? 'near' : isHeard ? 'on' : live ? '' : 'late'}`;
    const [behind, unit] = this.#lag(isHeard, live);
    say(keys.behind, behind);
    say(keys.unit, unit);
    keys.live.hidden = !growing;
    keys.live.classList.toggle('calm', isHeard && !monitor.on);
    say(keys.live.lastChild, live || monitor.on ? 'Listen live' : 'Back to live');
    keys.faster.hidden = !growing || !playing || (!deck.catching && deck.behind < deck.holdBack + 0.5);
    keys.faster.setAttribute('aria-pressed', String(deck.catching));
    tools.monitor.hidden = !growing;
    tools.monitor.setAttribute('aria-pressed', String(monitor.on));
    if (Number(tools.speed.value) !== deck.speed) tools.speed.value = String(deck.speed);
  }

  // How far behind the edge that is, and what the number means.
  #lag(isHeard, live) {
    const { monitor: { on, distance }, deck: { behind } } = this.#player;
    if (on) return distance === null ? ['…', 'joining'] : [`${distance.toFixed(2)} s`, 'to the edge'];
    if (isHeard) return ['Live', `${behind.toFixed(1)} s behind the edge`];
    if (live) return ['At the edge', 'play begins there'];
    return [behind < 60 ? span(behind) : clock(behind), 'behind live'];
  }
}
