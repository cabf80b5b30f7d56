import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import danish from '../messages/da.json';
import english from '../messages/en.json';
import type { Clause } from './api';
import { gaps, pieces, say } from './clauses';
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

  test.each([
    [[clause('request-refused', { status: 1429 }, { asked: 'GET a.example/søg' })], 'GET a.example/søg blev afvist med status 1429.'],
    [[clause('why', {}, { code: 'denied-address', reason: 'denied-address' }), clause('only-observed')], 'denied-address: Adressen står på en liste over afviste. Der blev kun set med: den slap igennem.'],
    [[clause('hint', {}, { hint: 'bad-chunk' })], 'Posten nævner den regel, der blev brudt.'],
    [[clause('in-force', {}, { id: 'r-81', kind: 'rule', action: 'refuse' })], 'r-81 (regel): Afvist.'],
    [[clause('moved', { came: 1_204, went: 0 })], '1,2 kB kom ind, 0 bytes gik ud.'],
    [[clause('rule-enforced', {}, { rule: 'r-1', action: 'refuse' }), clause('explains', { share: 0.97 })], 'Reglen r‑1 er i kraft: Afvist. Den forklarer 97 % af det, der er ud over det forventede.'],
  ])('a step of an explanation: %j', (clauses, expected) => {
    const told = pieces('step', clauses);
    expect(told?.map(({ text }) => text).join('').replaceAll('\u00a0', ' ')).toBe(expected);
    expect(say('step', clauses)?.replaceAll('\u00a0', ' ')).toBe(expected);
  });

  test('what others wrote is quoted, and fills no gap of ours', () => {
    const told = pieces('step', [clause('request-refused', { status: 403 }, { asked: 'GET a/{status}<b>{asked}</b>' })]) ?? [];
    expect(told).toEqual([{ text: 'GET a/{status}<b>{asked}</b>', quoted: true }, { text: ' blev afvist med status ', quoted: false }, { text: '403', quoted: false }, { text: '.', quoted: false }]);
    // A name that nobody of ours gave is quoted even in a gap that has names of ours.
    expect(pieces('step', [clause('why', {}, { code: 'x', reason: 'never-heard-of' })])?.[2]).toEqual({ text: 'never-heard-of', quoted: true });
    // What is to be typed stands apart, and no mark of it is left.
    const hint = pieces('step', [clause('hint', {}, { hint: 'rule-refused' })]) ?? [];
    expect(hint.filter(({ quoted }) => quoted).map(({ text }) => text)).toEqual(['portcullis explain', 'portcullis rules undo']);
    expect(hint.some(({ text }) => text.includes('`'))).toBe(false);
    expect(pieces('step', [clause('when', {}, { time: 'yesterday' })])?.[0]).toEqual({ text: 'yesterday', quoted: true });
    expect(pieces('step', [clause('trust-other', {}, { trust: 'constructor', toString: 'x' })])?.[0]?.quoted).toBe(true);
  });

  test('a time is the reader’s, and in UTC where that is another', () => {
    const at = '2026-11-21T23:05:09.042Z';
    const told = pieces('step', [clause('when', {}, { time: at })], Date.parse(at))?.[0];
    expect(told?.quoted).toBe(false);
    expect(told?.text).toMatch(/05\.09( \(23\.05\.09 UTC\))?$/);
  });

  test('what is not known is left to the words', () => {
    expect(pieces('step', [clause('trust-fresh'), clause('of-a-later-gate')])).toBeNull();
    expect(pieces('step', [])).toBeNull();
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

test('and every step of an explanation, in both languages', () => {
  const source = readFileSync(new URL('../../../crates/proxy/src/journal/explain/words.rs', import.meta.url), 'utf8');
  const codes = [...source.matchAll(/^ {8}"([\w-]+)" => /gm)].map(([, code]) => code ?? '');
  expect(codes.length).toBeGreaterThan(90);
  const steps = readFileSync(new URL('../../../crates/proxy/src/journal/explain.rs', import.meta.url), 'utf8');
  const parts = [...steps.matchAll(/Self::\w+ => \("([\w-]+)", /g)].map(([, part]) => part ?? '');
  expect(parts.length).toBeGreaterThan(18);
  for (const language of [english, danish]) {
    expect(codes.filter((code) => !(`step.${code}` in language))).toEqual([]);
    expect(parts.filter((part) => !(`part.${part}` in language))).toEqual([]);
  }
});

test('and every reason, in English as the gate says it', () => {
  const source = readFileSync(new URL('../../../crates/types/src/reason.rs', import.meta.url), 'utf8');
  const reasons = [...source.matchAll(/^ {4}\/\/\/ (.*)\n {4}\w+ = "([\w-]+)", \d+, \w+, "(.*)";$/gm)];
  expect(reasons.length).toBeGreaterThan(60);
  expect(reasons.length).toBe([...source.matchAll(/^ {4}\w+ = "[\w-]+", \d+, /gm)].length);
  const table: Record<string, string> = english;
  for (const [, what, code, hint] of reasons) expect([table[`reason.${code}`], table[`hint.${code}`]]).toEqual([what, hint]);
});

test('and every kind of what leaves, why something was not looked at, and what is in a copy', () => {
  const source = (path: string) => readFileSync(new URL(`../../../crates/${path}`, import.meta.url), 'utf8');
  const all = [
    ...[...source('types/src/leaving.rs').matchAll(/^ {4}\w+ = "([\w-]+)";/gm)].map(([, name]) => `datum.${name}`),
    ...[...source('dataguard/src/decode/mod.rs').matchAll(/Self::\w+ => "([\w-]+)"/g)].map(([, name]) => `unread.${name}`),
    ...[...(/CATEGORIES: &\[&str\] = &\[([^\]]*)\]/.exec(source('config/src/register.rs'))?.[1] ?? '').matchAll(/"([\w-]+)"/g)].map(([, name]) => `category.${name}`),
  ];
  expect(all.length).toBeGreaterThan(35);
  expect(all.filter((key) => !(key in english))).toEqual([]);
});
