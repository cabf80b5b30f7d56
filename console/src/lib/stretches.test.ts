import { expect, test } from 'vitest';
import type { Stretch } from './api';
import { bars, LANES } from './stretches';

const stretch = (id: string, from: number, until: number | null): Stretch => ({ id, kind: 'rule', action: 'refuse', platform: 'public', by: 'gate', from, until, cut: false });
const drawn = (measures: Stretch[], apart = 0) => bars({ from: 100, until: 200, measures }, apart);
const told = (measures: Stretch[], apart = 0) => drawn(measures, apart).bars.map(({ stretch: { id }, lane, from, until }) => [id, lane, from, until]);

test.each([
  ['nothing', [], []],
  ['one within', [stretch('a', 120, 140)], [['a', 0, 120, 140]]],
  ['one that began before and lasts', [stretch('a', 20, null)], [['a', 0, 100, 200]]],
  ['one that reaches beyond', [stretch('a', 150, 900)], [['a', 0, 150, 200]]],
  ['one after the other shares a lane', [stretch('b', 150, 160), stretch('a', 110, 120)], [['a', 0, 110, 120], ['b', 0, 150, 160]]],
  ['two at once do not', [stretch('a', 110, 180), stretch('b', 120, 130)], [['a', 0, 110, 180], ['b', 1, 120, 130]]],
  ['over before', [stretch('a', 10, 99)], []],
])('%s', (_, measures, expected) => expect(told(measures)).toEqual(expected));

test('what is too near goes to the next lane', () => {
  const near = [stretch('a', 110, 120), stretch('b', 125, 130)];
  expect(told(near).map(([, lane]) => lane)).toEqual([0, 0]);
  expect(told(near, 10).map(([, lane]) => lane)).toEqual([0, 1]);
});

test('what has no lane is counted', () => {
  const many = Array.from({ length: LANES + 3 }, (_, nth) => stretch(`r-${nth}`, 110 + nth, null));
  const { bars: all, lanes, beyond } = drawn(many);
  expect([all.length, lanes, beyond]).toEqual([LANES, LANES, 3]);
});
