// The live state as the views see it, and the clock that tells how old it is.

import type { Now } from './api';
import { ask, BASE } from './http';
import { isOld, NOTHING, pack, Stream, take, unpack, type Live } from './live';
import { KEPT_STATE, renew } from './session.svelte';
import { recall, remember } from './words.svelte';

/** Milliseconds between two times that the state is kept on the device. */
const KEEP = 5_000;
/** Milliseconds within which what comes is shown at once: a stream begins with all that happened lately, and a slow telephone would draw each. */
const TOGETHER = 50;

let state = $state.raw<Live>(NOTHING);
let clock = $state(Date.now());
let stream: Stream | null = null;
let keptAt = 0;
let latest: Live = NOTHING;
let due: ReturnType<typeof setTimeout> | undefined;

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

/** Begins with the state that is there already, or the last that this device has seen; the stream follows. */
export function startLive(first: Now | null = null): void {
  if (stream) return;
  state = first ? take(NOTHING, first, Date.now(), 'opening') : unpack(recall(KEPT_STATE));
  stream = new Stream(state, {
    open: () => new EventSource(`${BASE}live`),
    poll: () => ask<Now>('GET', 'now'),
    clock: () => Date.now(),
    random: () => Math.random(),
    changed: (fresh) => {
      latest = fresh;
      due ??= setTimeout(show, TOGETHER);
    },
  });
  stream.start();
}

function show(): void {
  due = undefined;
  state = latest;
  keep(false);
}

export function endLive(): void {
  stream?.stop();
  stream = null;
  clearTimeout(due);
  due = undefined;
  state = NOTHING;
}

export function startClock(): void {
  setInterval(() => {
    clock = Date.now();
    stream?.beat();
  }, 1000);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') keep(true);
    else if (isOld(state, Date.now())) wake();
  });
  // A browser keeps pages that were left, with their streams, and has six connections for all of them.
  window.addEventListener('pagehide', () => {
    keep(true);
    stream?.stop();
  });
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) wake();
  });
  window.addEventListener('online', () => stream?.start());
}

/** A telephone that was asleep: not a second is waited for. */
function wake(): void {
  clock = Date.now();
  if (!stream) return;
  stream.start();
  void renew();
}

function keep(atOnce: boolean): void {
  if (!stream || (!atOnce && Date.now() - keptAt < KEEP)) return;
  keptAt = Date.now();
  const packed = pack(state);
  if (packed) remember(KEPT_STATE, packed);
}
