import { expect, test, vi } from 'vitest';
import type { Happening, Proposal, Role } from './api';
import { lastTold, open, part } from './proposals';
import { lookAgain, proposals } from './proposals.svelte';

const one = (id: string, until: number, person = 'Ane', least: Role = 'operator'): Proposal => ({ id, act: 'undo', words: 'take r-81 back', by: person, person, least, made: 0, until, diff: [] });

test('what is forgotten is not shown, and what is forgotten first comes first', () => {
  const all = [one('late', 300), one('gone', 100), one('soon', 200)];
  expect(open(all, 100).map(({ id }) => id)).toEqual(['soon', 'late']);
  expect(open(all, 99).map(({ id }) => id)).toEqual(['gone', 'soon', 'late']);
});

test.each<[string, Role, Role, ReturnType<typeof part>]>([
  ['Ane', 'owner', 'operator', 'take-back'],
  ['Bo', 'operator', 'operator', 'answer'],
  ['Bo', 'owner', 'owner', 'answer'],
  ['Bo', 'operator', 'owner', 'refuse'],
  ['Vi', 'viewer', 'operator', 'look'],
  ['Ane', 'viewer', 'operator', 'look'],
])('%s, %s, where it takes %s: %s', (name, role, least, expected) => {
  expect(part(one('p', 1, 'Ane', least), { name, role })).toBe(expected);
});

test('nobody may do nothing', () => expect(part(one('p', 1), null)).toBe('look'));

test('of what happened the last about a proposal counts', () => {
  const told = (kind: string, at: number): Happening => ({ at, kind, platform: null, by: 'Ane', words: '', said: null });
  expect(lastTold([told('act', 3), told('proposal', 2), told('proposal', 1)])?.at).toBe(2);
  expect(lastTold([told('act', 3)])).toBeNull();
});

test('an answer that was overtaken replaces none', async () => {
  const answers: ((list: Proposal[]) => void)[] = [];
  vi.stubGlobal('fetch', () => new Promise((resolve) => answers.push((list) => resolve(Response.json(list)))));
  const first = lookAgain();
  const second = lookAgain();
  await vi.waitFor(() => expect(answers).toHaveLength(2));
  answers[1]?.([one('new', Number.MAX_SAFE_INTEGER)]);
  await second;
  answers[0]?.([]);
  await first;
  expect(proposals.waiting.map(({ id }) => id)).toEqual(['new']);
  vi.unstubAllGlobals();
});
