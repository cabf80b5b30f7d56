import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import english from '../messages/en.json';
import type { Clause } from './api';
import { gaps, say } from './clauses';
import { speak } from './words.svelte';

beforeAll(async () => {
  vi.stubGlobal('document', { documentElement: { lang: '' } });
  await speak('da');
});

const clause = (code: string, numbers: Record<string, number> = {}, names: Record<string, string> = {}): Clause => ({ code, numbers, names });

describe('in Danish', () => {
  test.each([
    [[clause('queue', { ms: 55.2, limit: 20 })], 'En forespørgsel venter 55 ms på platformen; op til 20 ms er sædvanligt.'],
    [[clause('stalled'), clause('failing', { share: 0.125 })], 'Platformen tager imod forespørgsler og bliver ikke færdig med nogen. 12,5 % af svarene fejlede.'],
    [[clause('failures', { now: 0.4, usual: 0.021 }, { path: '/login' })], '40 % af forsøgene på /login mislykkedes; 2,1 % er sædvanligt.'],
    [[clause('rate', { actual: 861, expected: 210, times: 4.1 })], 'Der kom 861 forespørgsler i sekundet, 4,1 gange det forventede (210).'],
    [[clause('rate', { actual: 205, expected: 210, times: 0.98 })], 'Der kom 205 forespørgsler i sekundet, omtrent som forventet (210).'],
    [[clause('codes', { now: 4.25, usual: 0.2 }, { path: '/code' })], '/code sender 4,3 koder i sekundet, som ingen indtaster; 0,2 er sædvanligt.'],
  ])('%j', (clauses, expected) => expect(say('clause', clauses)?.replaceAll('\u00a0', ' ')).toBe(expected));

  test('names of ours are said in it, others as they are', () => {
    expect(gaps(clause('posture', {}, { platform: 'public', from: 'normal', to: 'attack' }))).toEqual({ platform: 'public', from: 'normal', to: 'angreb' });
    expect(gaps(clause('rule-enforced', {}, { action: 'refuse' }))).toEqual({ action: 'Afvist' });
  });

  test('what is not known is left to the words', () => {
    expect(say('clause', [clause('stalled'), clause('of-a-later-gate')])).toBeNull();
    expect(say('clause', [])).toBeNull();
  });
});

test('everything that the gate can say as values can be said here', () => {
  const source = readFileSync(new URL('../../../crates/engine/src/brain/clause.rs', import.meta.url), 'utf8');
  const codes = [...source.matchAll(/^ {12}"([\w-]+)" => /gm)].map(([, code]) => code ?? '');
  expect(codes.length).toBeGreaterThan(40);
  expect(codes.filter((code) => !(`clause.${code}` in english) && !(`literal.${code}` in english))).toEqual([]);
});

test('and everything that it advises', () => {
  const source = readFileSync(new URL('../../../crates/control/src/advice.rs', import.meta.url), 'utf8');
  const codes = [...source.matchAll(/(?:Clause::new|said)\((?:if \w+ \{ )?"([\w-]+)"(?: \} else \{ "([\w-]+)")?/g)].flatMap(([, one, other]) => [one, other]).filter((code) => code !== undefined);
  expect(codes.length).toBeGreaterThan(12);
  expect(codes.filter((code) => !(`advise.${code}` in english))).toEqual([]);
});
