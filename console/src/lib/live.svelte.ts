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
/** Milliseconds within which a page wakes once: one that is come back to is told so in two ways. */
const ONCE = 1_000;

let state = $state.raw<Live>(NOTHING);
let clock = $state(Date.now());
// What hangs on these changes more seldom than the clock.
const minute = $derived(clock - (clock % 60_000));
const old = $derived(isOld(state, clock));
let stream: Stream | null = null;
let keptAt = 0;
let latest: Live = NOTHING;
let due: ReturnType<typeof setTimeout> | undefined;
let wokeAt = 0;

export const live = {
  get state() {
    return state;
  },
  get now() {
    return state.now;
  },
  get old() {
    return old;
  },
};

export const time = {
  /** By the reader's clock, once a second. */
  get here() {
    return clock;
  },
  /** The same, once a minute. */
  get minute() {
    return minute;
  },
  /** By the gate's, as far as the last state tells. */
  get there() {
    return state.now && !old ? state.now.at : clock;
  },
};

/** Begins with the state that is there already, or the last that this device has seen; the stream follows. A state that comes later is taken in. */
export function startLive(first: Now | null = null): void {
  if (stream) {
    if (first) stream.told(first);
    return;
  }
  state = first ? take(NOTHING, first, Date.now(), 'opening') : unpack(recall(KEPT_STATE));
  stream = new Stream(state, {
    open: (last) => new EventSource(`${BASE}live${last ? `?last=${last}` : ''}`),
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
    wokeAt = 0;
  });
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) wake();
  });
  window.addEventListener('online', () => stream?.start());
}

/** A telephone that was asleep: not a second is waited for. */
function wake(): void {
  clock = Date.now();
  if (!stream || clock - wokeAt < ONCE) return;
  wokeAt = clock;
  stream.start();
  void renew();
}

function keep(atOnce: boolean): void {
  if (!stream || (!atOnce && Date.now() - keptAt < KEEP)) return;
  keptAt = Date.now();
  const packed = pack(state);
  if (packed) remember(KEPT_STATE, packed);
}
