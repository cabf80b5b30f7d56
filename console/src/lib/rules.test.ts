// What a screen makes of rules.

import { describe, expect, test } from 'vitest';
import type { Measure, OwnRule, Release, RouteFindings } from './api';
import { byLife, exclusions, mode, release, steps, whom } from './rules';

const route = (detection: string, rules: string) => ({ platform: 'public', route: '/search/**', detection, rules }) as RouteFindings;
const reached = (records: number) => ({ records, visitors: records, audience: {}, references: [] });
const proposal: Release = { platform: 'public', route: '/**', exclude: ['sql ARGS:q'], matched: {}, releases: reached(2), also_releases: reached(0), stay: 1, refused: null };

describe('a route', () => {
  test.each([
    ['enforce', 'none', 'refuses', ['observe']],
    ['enforce', 'enforce', 'refuses', ['observe']],
    ['observe', 'none', 'observes', ['refuse']],
    ['observe', 'enforce', 'partly', ['refuse', 'observe']],
    ['off', 'none', 'off', []],
    ['off', 'observe', 'observes', ['refuse']],
    ['', '', 'gone', []],
  ])('%s with rules %s: %s', (detection, rules, expected, kinds) => {
    expect(mode(route(detection, rules))).toBe(expected);
    expect(steps(route(detection, rules)).map(({ kind }) => kind)).toEqual(kinds);
  });
});

test('a proposal is a change where it can be one', () => {
  expect(release(proposal)).toEqual({ kind: 'exclude', platform: 'public', route: '/**', exclude: ['sql ARGS:q'] });
  for (const not of [{ platform: null }, { refused: 'no such rule' }, { releases: reached(0) }]) expect(release({ ...proposal, ...not })).toBe(null);
  expect(exclusions(['942100 ARGS:q', 'sql ARGS:/^a\\.b$/'])).toBe(`exclude = ["942100 ARGS:q", 'sql ARGS:/^a\\.b$/']`);
});

test('those whom a refusal hurts come first', () => {
  expect(whom({ stranger: 9, crawler: 0, visitor: 2, known: 1 })).toEqual([['known', 1], ['visitor', 2], ['stranger', 9]]);
});

test('rules in force come first, then those on trial', () => {
  const own = (id: string, phase: string, matched: number): OwnRule => ({ platform: 'public', rule: { id, phase, matched } as Measure });
  const all = [own('r-1', 'undone', 9), own('r-2', 'shadow', 3), own('r-3', 'enforced', 1), own('r-4', 'relaxing', 5), own('r-5', 'dormant', 2)];
  expect(byLife(all).map(({ rule }) => rule.id)).toEqual(['r-4', 'r-3', 'r-2', 'r-1', 'r-5']);
});
