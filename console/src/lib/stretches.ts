// Measures as bars above a chart: each in the first lane that is free. Pure.

import type { History, Stretch } from './api';

/** Bars one above the other; what has no room is in the table alone. */
export const LANES = 6;

export interface Bar {
  stretch: Stretch;
  lane: number;
  from: number;
  until: number;
}

export interface Bars {
  bars: Bar[];
  /** Lanes that are used. */
  lanes: number;
  /** Measures for which there was no lane. */
  beyond: number;
}

/** Those of a stretch of time, cut to it. Two in one lane never touch: `apart` is how far they stay from each other. */
export function bars(history: Pick<History, 'measures' | 'from' | 'until'>, apart = 0): Bars {
  const sorted = [...history.measures].sort((a, b) => a.from - b.from || a.id.localeCompare(b.id));
  const ends: number[] = [];
  const all: Bar[] = [];
  let beyond = 0;
  for (const stretch of sorted) {
    const from = Math.max(stretch.from, history.from);
    const until = Math.min(stretch.until ?? history.until, history.until);
    if (until < from) continue;
    const free = ends.findIndex((end) => end + apart < from);
    const lane = free >= 0 ? free : ends.length;
    if (lane >= LANES) {
      beyond += 1;
      continue;
    }
    ends[lane] = Math.max(until, from);
    all.push({ stretch, lane, from, until });
  }
  return { bars: all, lanes: ends.length, beyond };
}
