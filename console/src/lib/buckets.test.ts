import { describe, expect, test } from 'vitest';
import type { History, Points } from './api';
import { bands, columns, stepOf, totals } from './buckets';

const points = (at: number[], part: Partial<Points>): Points => {
  const zero = at.map(() => 0);
  return { at, requests: zero, served: zero, delayed: zero, challenged: zero, roomed: zero, refused: zero, failed: zero, p95: zero, ...part };
};
const history = (seconds: number, of: Points): History => ({ platform: null, from: 10_000, until: 10_000 + seconds * 1000, step: 1000, missing: 0, postures: [], measures: [], more_measures: 0, points: of });

describe('columns', () => {
  test('are averages over time, and the worst second stays', () => {
    const drawn = columns(history(10, points([0, 1, 7], { requests: [100, 0, 4], served: [90, 0, 4], delayed: [10, 0, 0], refused: [10, 0, 0], p95: [40, 0, 900] })), 5);
    expect([...drawn.at]).toEqual([10_000, 12_000, 14_000, 16_000, 18_000]);
    expect([...drawn.mean.served]).toEqual([40, 0, 0, 2, 0]);
    expect([...drawn.mean.delayed]).toEqual([5, 0, 0, 0, 0]);
    expect([...drawn.peak]).toEqual([100, 0, 0, 4, 0]);
    expect([...drawn.p95]).toEqual([40, 0, 0, 900, 0]);
  });

  test('of longer steps are still per second', () => {
    const minute = { ...history(120, points([0, 1], { requests: [600, 60], served: [600, 60] })), step: 60_000 };
    const drawn = columns(minute, 10);
    expect([...drawn.mean.served]).toEqual([10, 1]);
    expect([...drawn.peak]).toEqual([10, 1]);
  });

  test('at the end count only what lies within', () => {
    const drawn = columns(history(3, points([0, 1, 2], { served: [6, 6, 6] })), 2);
    expect([...drawn.mean.served]).toEqual([6, 6]);
  });

  test('of nothing are nothing, and points beyond are dropped', () => {
    expect([...columns(history(4, points([], {})), 4).peak]).toEqual([0, 0, 0, 0]);
    expect([...columns(history(2, points([0, 9], { requests: [1, 99] })), 2).peak]).toEqual([1, 0]);
  });

  test('keep every request of a day by the second', () => {
    const at = Array.from({ length: 86_400 }, (_, index) => index);
    const drawn = columns(history(86_400, points(at, { served: at.map(() => 3) })), 1000);
    const seconds = drawn.width / 1000;
    expect(drawn.at.length).toBeLessThanOrEqual(1000);
    expect(drawn.mean.served.reduce((sum, mean, column) => sum + mean * Math.min(seconds, 86_400 - column * seconds), 0)).toBeCloseTo(3 * 86_400, 3);
  });
});

test('postures become stretches; the ordinary is not drawn', () => {
  const of = { from: 0, until: 100, postures: [{ at: 60, posture: 'recovery' }, { at: -5, posture: 'attack' }, { at: 80, posture: 'normal' }, { at: 90, posture: 'attack' }] };
  expect(bands(of)).toEqual([{ posture: 'attack', from: 0, until: 60 }, { posture: 'recovery', from: 60, until: 80 }, { posture: 'attack', from: 90, until: 100 }]);
});

test('totals count each request once', () => {
  expect(totals(points([0, 1], { requests: [5, 5], served: [3, 4], delayed: [1, 0], refused: [2, 1] }))).toEqual({ requests: 10, served: 6, delayed: 1, challenged: 0, roomed: 0, refused: 3, failed: 0 });
});

test('a day is asked by the second, more by whole minutes, and never more than a day of points', () => {
  const day = 86_400_000;
  expect([stepOf(60_000), stepOf(day), stepOf(day + 1), stepOf(7 * day)]).toEqual([1000, 1000, 60_000, 60_000]);
  for (const days of [2, 60, 61, 400]) expect((days * day) / stepOf(days * day)).toBeLessThanOrEqual(86_400);
});
