// The live state as the views see it, and the clock that tells how old it is.

import type { Now } from './api';
import { ask, BASE } from './http';
import { isOld, NOTHING, pack, Stream, unpack, type Live } from './live';
import { KEPT_STATE, renew } from './session.svelte';
import { recall, remember } from './words.svelte';

/** Milliseconds between two times that the state is kept on the device. */
const KEEP = 5_000;

let state = $state.raw<Live>(NOTHING);
let clock = $state(Date.now());
let stream: Stream | null = null;
let keptAt = 0;

export const live = {
  get state() {
    return state;
  },
  get now() {
    return state.now;
  },
  get old() {
    return isOld(state, clock);
  },
};

export const time = {
  /** By the reader's clock, once a second. */
  get here() {
    return clock;
  },
  /** By the gate's, as far as the last state tells. */
  get there() {
    return state.now && !isOld(state, clock) ? state.now.at : clock;
  },
};

/** Begins with the last state that this device has seen; the stream follows. */
export function startLive(): void {
  if (stream) return;
  state = unpack(recall(KEPT_STATE));
  stream = new Stream(state, {
    open: () => new EventSource(`${BASE}live`),
    poll: () => ask<Now>('GET', 'now'),
    clock: () => Date.now(),
    random: () => Math.random(),
    changed: (fresh) => {
      state = fresh;
      keep(false);
    },
  });
  stream.start();
}

export function endLive(): void {
  stream?.stop();
  stream = null;
  state = NOTHING;
}

export function startClock(): void {
  setInterval(() => {
    clock = Date.now();
    stream?.beat();
  }, 1000);
  // A telephone that was asleep: not a second is waited for.
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') return keep(true);
    clock = Date.now();
    if (stream && isOld(state, clock)) {
      stream.start();
      void renew();
    }
  });
  window.addEventListener('pagehide', () => keep(true));
  window.addEventListener('online', () => stream?.start());
}

function keep(atOnce: boolean): void {
  if (!stream || (!atOnce && Date.now() - keptAt < KEEP)) return;
  keptAt = Date.now();
  const packed = pack(state);
  if (packed) remember(KEPT_STATE, packed);
}
