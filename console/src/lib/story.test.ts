import { describe, expect, test } from 'vitest';
import type { Advice, Audience, Measure, Now, Platform, Rates } from './api';
import { acts, audiences, byEffect, byUrgency, costs, findMeasure, flow, harm, headline, health, posture, segments, spark, whither } from './story';

const audience = (name: string, known: boolean, touched: number, all = 100): Audience => ({ name, known, requests: 1000, refused: touched, held: 1, delayed: 2, visitors: [all, touched] });
const named = (name: string, stands: string) => ({ name, posture: stands }) as Platform;
const rates = (part: Partial<Rates>): Rates => ({ requests: 0, served: 0, delayed: 0, challenged: 0, roomed: 0, refused: 0, failed: 0, ...part });

test('the most urgent platform comes first, and others in their order', () => {
  const all = [named('a', 'normal'), named('b', 'recovery'), named('c', 'attack'), named('d', 'overload'), named('e', 'normal'), named('f', 'elevated')];
  expect(byUrgency(all).map(({ name }) => name)).toEqual(['c', 'd', 'f', 'b', 'a', 'e']);
  expect(posture('of-tomorrow')).toBe('elevated');
});

describe('who is hurt', () => {
  test('is asked of known people alone: an attack is made of strangers', () => {
    const sum = harm([audience('suspect', false, 5000), audience('human', true, 3), audience('staff', true, 0, 7)]);
    expect(sum).toEqual({ requests: 2000, refused: 3, held: 2, delayed: 4, visitors: 107, touched: 3 });
    expect(harm([audience('suspect', false, 9)]).touched).toBe(0);
  });

  test('is listed with known people first, then by harm; who did not come is left out', () => {
    const list = audiences([audience('suspect', false, 900), audience('human', true, 1), audience('history', true, 9), { ...audience('staff', true, 0), requests: 0 }]);
    expect(list.map(({ name }) => name)).toEqual(['history', 'human', 'suspect']);
  });
});

describe('what became of requests', () => {
  test('is counted once: who waited and was served is slowed', () => {
    const parts = segments(rates({ requests: 10, served: 6, delayed: 2, refused: 4 }));
    expect(parts.map(({ outcome, value }) => [outcome, value])).toEqual([['served', 4], ['delayed', 2], ['challenged', 0], ['roomed', 0], ['refused', 4], ['failed', 0]]);
    expect(parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });
  test('of all platforms is served or held back', () => {
    const all = [{ rates: rates({ served: 6, challenged: 1, refused: 4, failed: 2 }) }, { rates: null }, { rates: rates({ served: 1, roomed: 3 }) }] as Platform[];
    expect(flow(all)).toEqual({ served: 7, back: 8 });
  });
  test('is nothing where nothing came', () => expect(segments(rates({})).every(({ share }) => share === 0)).toBe(true));
});

describe('measures', () => {
  const measure = (id: string, phase: string, matched: number) => ({ id, phase, matched }) as Measure;
  test('that act come first, those that were undone last', () => {
    const all = [measure('a', 'undone', 9), measure('b', 'dormant', 99), measure('c', 'enforced', 1), measure('d', 'on', 7), measure('e', 'shadow', 2)];
    expect(byEffect(all).map(({ id }) => id)).toEqual(['d', 'c', 'b', 'e', 'a']);
    expect(all.filter(acts).map(({ id }) => id)).toEqual(['c', 'd']);
  });
  test('are found by their names', () => {
    const now = { platforms: [{ ...named('x', 'normal'), measures: [] }, { ...named('y', 'attack'), measures: [measure('r-1', 'enforced', 1)] }] } as unknown as Now;
    expect(findMeasure(now, 'r-1')?.platform.name).toBe('y');
    expect(findMeasure(now, 'r-2')).toBeNull();
  });
});

test('health is that of those that were looked at', () => {
  const of = (...list: (boolean | null)[]) => health(list.map((healthy) => ({ url: '', healthy })));
  expect([of(), of(null), of(true, true), of(true, false), of(false, false), of(true, null)]).toEqual(['unknown', 'unknown', 'well', 'part', 'none', 'part']);
});

test('the first sentence is about what is worst: nobody served before any posture, and a server less is not calm', () => {
  const of = (...list: [string, string, (boolean | null)[]][]) => {
    const { is, platform } = headline(list.map(([name, stands, seen]) => ({ ...named(name, stands), origins: seen.map((healthy) => ({ url: '', healthy })) })));
    return [is, platform?.name];
  };
  expect(of()).toEqual(['empty', undefined]);
  expect(of(['a', 'normal', [true, null]], ['b', 'normal', [null]])).toEqual(['normal', 'a']);
  expect(of(['a', 'normal', [true]], ['b', 'normal', [true, false]])).toEqual(['part', 'b']);
  expect(of(['a', 'elevated', [true]], ['b', 'normal', [true, false]])).toEqual(['elevated', 'a']);
  expect(of(['a', 'attack', [true]], ['b', 'normal', [false, false]])).toEqual(['outage', 'b']);
  expect(of(['a', 'normal', []], ['b', 'normal', [false, null]])).toEqual(['part', 'b']);
});

test('advice leads where it is about, and nowhere where there is nothing to see', () => {
  const now = { platforms: [named('public', 'normal')] } as Now;
  const to = (kind: string, about: string) => whither({ kind, about, words: '', cost: '' } as Advice, now);
  expect([to('report', '2026-05-17-1'), to('close', ''), to('drill', 'files'), to('look', 'public'), to('look', 'evidence'), to('nothing', ''), to('undo', 'r-1')]).toEqual([
    '/incidents/2026-05-17-1', '/incidents', '/integrity', '/traffic?platform=public', null, null, null,
  ]);
});

test('the small line spans its seconds, and is nothing without any', () => {
  const line = [1, 2, 3].map((second) => ({ at: second * 1000, rates: rates({ requests: second * 10, served: 10 }) }));
  const drawn = spark(line, 3000, 2);
  expect(drawn.most).toBe(30);
  expect(drawn.came).toBe('M1 100L1 36L2 4L2 100Z');
  expect(spark([], 3000, 2)).toEqual({ came: '', served: '', most: 1 });
});

test('what follows from doing nothing is not called a cost', () => {
  const of = (cost: string, code: string | null) => costs({ cost, price: code === null ? null : { code, numbers: {}, names: {} } } as Advice);
  expect([of('It passes.', 'comes-through'), of('In a gate’s own words.', null), of('The others carry it.', 'others-carry'), of('', null)]).toEqual([true, true, false, false]);
});
