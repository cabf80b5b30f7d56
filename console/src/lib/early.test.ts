// The script that stands before everything, as a browser runs it.

import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { afterEach, expect, test, vi } from 'vitest';
import { early } from './early';

const SCRIPT = readFileSync(new URL('../early.js', import.meta.url), 'utf8');

interface World {
  kept?: Record<string, string> | null;
  dark?: boolean;
  away?: boolean;
}

afterEach(() => vi.unstubAllGlobals());

async function begin({ kept = {}, dark = false, away = false }: World) {
  const asked: string[] = [];
  const root: { dataset: Record<string, string> } = { dataset: {} };
  const window: Pick<Window, 'early'> = {};
  vi.stubGlobal('window', window);
  const context = createContext({
    window,
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
      return away ? Promise.reject(new TypeError('Failed to fetch')) : Promise.resolve(Response.json({}));
    },
    document: { documentElement: root },
  });
  runInContext(SCRIPT, context);
  return { asked, theme: root.dataset.theme };
}

test('who is signed in and how everything stands is asked for once, and taken once', async () => {
  const { asked } = await begin({});
  const path = 'session?now=true';
  expect([(await early(path))?.status, await early(path), await early('session'), asked]).toEqual([200, null, null, [`/api/v1/${path}`]]);
});

test('without a network whoever asks for the session hears of it once', async () => {
  await begin({ away: true });
  await expect(early('session?now=true')).rejects.toThrow('Failed to fetch');
  expect(await early('session?now=true')).toBe(null);
});

test('light or dark is what the reader chose, or the system; storage may be closed', async () => {
  const theme = async (world: World) => (await begin(world)).theme;
  expect([await theme({ dark: true }), await theme({ dark: true, kept: { 'portcullis.theme': 'light' } }), await theme({ kept: { 'portcullis.theme': 'dark' } }), await theme({ dark: true, kept: null })]).toEqual(['dark', 'light', 'dark', 'dark']);
});
