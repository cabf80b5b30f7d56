// The script that stands before everything, as a browser runs it.

import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { afterEach, expect, test, vi } from 'vitest';
import { early } from './early';
import { preferred } from './words.svelte';

const SCRIPT = readFileSync(new URL('../early.js', import.meta.url), 'utf8');

interface World {
  kept?: Record<string, string> | null;
  languages?: string[];
  dark?: boolean;
  person?: { name: string } | null;
  status?: number;
  away?: boolean;
}

afterEach(() => vi.unstubAllGlobals());

async function begin({ kept = {}, languages = ['en'], dark = false, person = null, status = 200, away = false }: World) {
  const asked: string[] = [];
  const linked: string[] = [];
  const root: { dataset: Record<string, string> } = { dataset: {} };
  const window: Pick<Window, 'early'> = {};
  vi.stubGlobal('window', window);
  const context = createContext({
    window,
    navigator: { languages },
    AbortSignal,
    matchMedia: () => ({ matches: dark }),
    localStorage: {
      getItem: (key: string) => {
        if (!kept) throw new Error('storage is closed');
        return kept[key] ?? null;
      },
    },
    fetch: (path: string) => {
      asked.push(path);
      return away ? Promise.reject(new TypeError('Failed to fetch')) : Promise.resolve(Response.json({ person }, { status }));
    },
    document: {
      documentElement: root,
      currentScript: { dataset: { en: 'en', da: 'da' } },
      createElement: () => ({}),
      head: { append: ({ href }: { href: string }) => linked.push(href) },
    },
  });
  runInContext(SCRIPT, context);
  return { asked, linked, theme: root.dataset.theme };
}

test('the words that are fetched early are those that the page chooses', async () => {
  for (const kept of [null, 'en', 'da', 'xx']) {
    for (const languages of [['en'], ['da-DK'], ['nb-NO'], ['fr'], ['fr', 'da'], ['DA', 'en'], []]) {
      const { linked } = await begin({ kept: kept ? { 'portcullis.language': kept } : {}, languages });
      expect(linked, `${kept} ${languages}`).toEqual([preferred(kept, languages)]);
    }
  }
});

test('nobody who is not signed in asks how everything stands', async () => {
  const [session, now] = ['/api/v1/session', '/api/v1/now'];
  const told = async (world: World) => {
    const { asked } = await begin(world);
    return [await early('now').then((answer) => answer?.status), await early('session').then((answer) => answer?.status), asked];
  };
  expect(await told({ person: { name: 'Ane' } })).toEqual([200, 200, [session, now]]);
  expect(await told({ person: null })).toEqual([undefined, 200, [session]]);
  expect(await told({ person: { name: 'Ane' }, status: 503 })).toEqual([undefined, 503, [session]]);
});

test('without a network whoever asks for the session hears of it once, and nobody else does', async () => {
  await begin({ away: true });
  await expect(early('session')).rejects.toThrow('Failed to fetch');
  expect([await early('session'), await early('now')]).toEqual([null, null]);
});

test('light or dark is what the reader chose, or the system; storage may be closed', async () => {
  const theme = async (world: World) => (await begin(world)).theme;
  expect([await theme({ dark: true }), await theme({ dark: true, kept: { 'portcullis.theme': 'light' } }), await theme({ kept: { 'portcullis.theme': 'dark' } }), await theme({ dark: true, kept: null })]).toEqual(['dark', 'light', 'dark', 'dark']);
});
