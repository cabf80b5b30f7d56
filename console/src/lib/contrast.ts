// What is frequent now against what was frequent before. Pure.

import type { Busiest, Counted } from './api';

export type Contrast = { kind: 'new' } | { kind: 'more' | 'less'; times: number } | { kind: 'same' } | { kind: 'unknown' };

/** So many times as much, or as little, as before stands out. */
const OUT = 2;
/** Of what came rarely nothing can be said, in requests. */
const FEW = 20;

/** `one` of `now` against the time before, by how often it came. */
export function contrast(one: Counted, now: Busiest, before: Busiest | null): Contrast {
  if (!before || before.requests === 0 || one.requests < FEW) return { kind: 'unknown' };
  const length = (busiest: Busiest) => Math.max(1, busiest.until - busiest.from);
  const known = before.values.find(({ value }) => value === one.value);
  // Beyond the end of a list that is full, something may have come as often as the last in it, and as often as counts fall short.
  if (!known) return before.values.length >= 1000 ? { kind: 'unknown' } : { kind: 'new' };
  const times = one.requests / length(now) / (Math.max(1, known.requests) / length(before));
  if (times >= OUT) return { kind: 'more', times };
  if (times <= 1 / OUT) return { kind: 'less', times: 1 / times };
  return { kind: 'same' };
}
