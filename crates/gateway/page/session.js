// Media keys and the lock screen (Media Session): the same as the buttons of the page, and what is heard.

export function mediaSession(deck) {
  const session = navigator.mediaSession;
  if (!session) return { show() {} };
  const actions = {
    play: () => deck.play(),
    pause: () => deck.pause(),
    stop: () => deck.pause(),
    seekbackward: ({ seekOffset }) => deck.seek(deck.position - (seekOffset ?? 10)),
    seekforward: ({ seekOffset }) => deck.seek(deck.position + (seekOffset ?? 10)),
    seekto: ({ seekTime }) => deck.seek(seekTime),
    previoustrack: () => deck.seek(0),
    nexttrack: () => deck.goLive(),
  };
  for (const [name, act] of Object.entries(actions)) {
    try {
      session.setActionHandler(name, act);
    } catch {
      // A browser that does not know this key.
    }
  }
  let [told, placed] = ['', 0];
  return {
    show({ recording, titled }) {
      const title = titled || recording.title || recording.stream;
      if (told !== `${recording.id} ${title}`) {
        told = `${recording.id} ${title}`;
        session.metadata = new MediaMetadata({ title, artist: recording.stream, album: 'Livetape', artwork: [{ src: '/icon.svg', type: 'image/svg+xml' }] });
      }
      session.playbackState = deck.playing ? 'playing' : 'paused';
      const { edge: duration, position } = deck;
      if (performance.now() - placed < 1000 || duration <= 0) return;
      placed = performance.now();
      session.setPositionState?.({ duration, position: Math.min(position, duration), playbackRate: deck.audio.playbackRate });
    },
  };
}
