// Both languages say the same things, with the same gaps, and nothing that no view says.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import danish from './da.json';
import english from './en.json';

const gaps = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
const both = Object.keys(english) as (keyof typeof english)[];

test('the keys are the same, in the same order', () => expect(Object.keys(danish)).toEqual(both));

describe('each message', () => {
  test.each(both)('%s', (key) => {
    // “One” may leave its number out, because it is a word there.
    const numbered = key.endsWith('.one');
    const without = (list: (string | undefined)[]) => list.filter((gap) => !numbered || gap !== 'n');
    expect(without(gaps(danish[key]))).toEqual(without(gaps(english[key])));
    expect(danish[key].trim()).not.toBe('');
  });
});

// It reads every source for every message: on a busy machine that takes more than the five seconds of a test.
test('each message is said somewhere', { timeout: 60_000 }, () => {
  const folder = new URL('../', import.meta.url);
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(svelte|ts)$/.test(name) && !name.includes('.test.'));
  const text = sources.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
  // Keys that are put together: `t(`hero.${…}`)`, `named('posture', …)`, `many('undo.x', …)`.
  const heads = new Set([...text.matchAll(/named\('(\w+)'/g)].map(([, kind]) => `${kind}.`).concat([...text.matchAll(/t\(`([\w.]+\.)\$\{/g)].map(([, head]) => head ?? '')));
  const unsaid = both.filter((key) => {
    const stem = key.replace(/\.(one|other)$/, '');
    return !text.includes(`'${stem}'`) && ![...heads].some((head) => key.startsWith(head));
  });
  expect(unsaid).toEqual([]);
});
