// The script that stands before everything, as a browser runs it.

import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { expect, test } from 'vitest';
import { preferred } from './words.svelte';

const SCRIPT = readFileSync(new URL('../early.js', import.meta.url), 'utf8');

interface World {
  kept?: Record<string, string> | null;
  languages?: string[];
  dark?: boolean;
  person?: { name: string } | null;
  status?: number;
}

async function begin({ kept = {}, languages = ['en'], dark = false, person = null, status = 200 }: World) {
  const asked: string[] = [];
  const linked: string[] = [];
  const root: { dataset: Record<string, string> } = { dataset: {} };
  const window: Window & { early?: Record<string, Promise<Response | null>> } = {} as never;
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
      return Promise.resolve(Response.json({ person }, { status }));
    },
    document: {
      documentElement: root,
      currentScript: { dataset: { en: 'en', da: 'da' } },
      createElement: () => ({}),
      head: { append: ({ href }: { href: string }) => linked.push(href) },
    },
  });
  runInContext(SCRIPT, context);
  const now = await window.early?.now?.catch(() => 'failed');
  return { asked, linked, theme: root.dataset.theme, now, session: (await window.early?.session)?.status };
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
  expect((await begin({ person: { name: 'Ane' } })).asked).toEqual([session, now]);
  expect((await begin({ person: null })).asked).toEqual([session]);
  const refused = await begin({ person: { name: 'Ane' }, status: 503 });
  expect([refused.asked, refused.now, refused.session]).toEqual([[session], null, 503]);
});

test('light or dark is what the reader chose, or the system; storage may be closed', async () => {
  const theme = async (world: World) => (await begin(world)).theme;
  expect([await theme({ dark: true }), await theme({ dark: true, kept: { 'portcullis.theme': 'light' } }), await theme({ kept: { 'portcullis.theme': 'dark' } }), await theme({ dark: true, kept: null })]).toEqual(['dark', 'light', 'dark', 'dark']);
});
