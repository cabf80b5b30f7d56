// What a screen makes of a rehearsal.

import { expect, test } from 'vitest';
import type { Seconds } from './api';
import { bound, clock, line, longest, measured, rates, seed, stretches } from './rehearsal';

const TIMELINE: Seconds = {
  second: [2, 4, 6, 8],
  legitimate: [10, 12, 8, 10],
  legitimate_refused: [0, 0, 1, 0],
  attack: [0, 100, 300, 0],
  attack_passed: [0, 40, 3, 0],
  p99_ms: [20, 25, 90, 21],
  posture: ['normal', 'attack', 'attack', 'recovery'],
};

test('stretches of one posture add up what came in them', () => {
  expect(stretches(TIMELINE)).toEqual([
    { posture: 'normal', from: 0, until: 2, people: 10, refused: 0, attack: 0, passed: 0, p99: 20 },
    { posture: 'attack', from: 2, until: 6, people: 20, refused: 1, attack: 400, passed: 43, p99: 90 },
    { posture: 'recovery', from: 6, until: 8, people: 10, refused: 0, attack: 0, passed: 0, p99: 21 },
  ]);
  expect(stretches({ second: [], legitimate: [], legitimate_refused: [], attack: [], attack_passed: [], p99_ms: [], posture: [] })).toEqual([]);
});

test('the longest stretches stay in their order', () => {
  const all = stretches(TIMELINE);
  expect(longest(all, 2).map(({ posture }) => posture)).toEqual(['normal', 'attack']);
  expect(longest(all, 9)).toEqual(all);
});

test('lines are drawn per second, within their box', () => {
  expect(rates(TIMELINE, TIMELINE.attack)).toEqual([0, 50, 150, 0]);
  expect(line([0, 50, 150, 0], 150, 300, 100)).toBe('0.0,100.0 100.0,66.7 200.0,0.0 300.0,100.0');
  expect(line([5], 0, 300, 100)).toBe('0.0,0.0');
});

test('limits and values are said with their units', () => {
  const of = (value: number, digits = 0) => value.toFixed(digits);
  expect(bound({ name: 'connections_free at least', limit: 10 })).toEqual({ figure: 'connections_free', sign: '≥' });
  expect(bound({ name: 'refused', limit: 0.1 })).toEqual({ figure: 'refused', sign: '≤' });
  expect(bound({ name: 'refused_protected', limit: 0 })).toEqual({ figure: 'refused_protected', sign: '=' });
  expect([measured(1000, 'ms', of), measured(0.25, '%', of), measured(16.121, 'x', of), measured(3, '', of), measured(4.5, '/s', of)]).toEqual(['1000 ms', '0.250 %', '16.1×', '3', '4.500/s']);
  expect([clock(0), clock(65.9), clock(3600)]).toEqual(['0:00', '1:05', '60:00']);
});

test('a seed is a whole number that JSON keeps', () => {
  expect([seed(''), seed(' 7 '), seed('-1'), seed('1.5'), seed('x'), seed('9007199254740993')]).toEqual([1, 7, null, null, null, null]);
});
