// Whatever is drawn before the rest of the words is there finds its own among the first ones.

import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import first from 'virtual:first-words';
import danish from './da.json';
import english from './en.json';
import { FIRST } from './first';

/** What only steps of an explanation and fields of a form ask for: neither is on the first screen. */
const NOT_YET = ['literal', 'did', 'step', 'reason', 'hint', 'pick', 'approval'];

/** The files that come with `file` before anything is drawn. */
function withIt(file: URL, found = new Map<string, string>()): Map<string, string> {
  if (found.has(file.pathname)) return found;
  const text = readFileSync(file, 'utf8');
  found.set(file.pathname, text);
  for (const [, name] of text.matchAll(/^\s*import (?!type )(?:[^'();]*? from )?'(\.[^']+)';$/gm)) {
    const next = ['', '.ts'].map((end) => new URL(`${name}${end}`, file)).find((one) => existsSync(one));
    if (!next) throw new Error(`${file.pathname} imports ${name}, which is not there`);
    if (/\.(svelte|ts)$/.test(next.pathname)) withIt(next, found);
  }
  return found;
}

const files = withIt(new URL('../main.ts', import.meta.url));
const sources = [...files.values()].join('\n');

test('the files are those of the first screen', () => {
  const names = [...files.keys()].map((path) => path.replace(/.*\/src\//, ''));
  expect(names).toEqual(expect.arrayContaining(['App.svelte', 'parts/Frame.svelte', 'views/now/Hero.svelte', 'views/now/Next.svelte', 'lib/live.svelte.ts']));
  expect(names).not.toContain('views/now/PlatformCard.svelte');
});

test('each message that they say is among the first, and no other', () => {
  const stems = Object.keys(english).map((key) => key.replace(/\.(one|other)$/, ''));
  const whole = stems.filter((stem) => sources.includes(stem.includes('.') ? `'${stem}'` : `t('${stem}'`)).map((stem) => stem.split('.')[0] ?? '');
  const heads = [...sources.matchAll(/named\('(\w+)'|\b(?:t|text)\(`(\w+)\./g)].map(([, kind, head]) => kind ?? head ?? '');
  expect([...new Set([...whole, ...heads])].filter((head) => !NOT_YET.includes(head)).sort()).toEqual([...FIRST]);
});

test('they are the same in both languages as in the files', () => {
  for (const [few, all] of [[first.en, english], [first.da, danish]] as const) {
    expect(Object.keys(few).length).toBeGreaterThan(80);
    expect(all).toMatchObject(few);
  }
});
