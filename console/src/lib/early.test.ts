// The script that stands before everything, as a browser runs it.

import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { afterEach, expect, test, vi } from 'vitest';
import { early } from './early';

const SCRIPT = readFileSync(new URL('../early.js', import.meta.url), 'utf8');

interface World {
  kept?: Record<string, string> | null;
  dark?: boolean;
  person?: { name: string } | null;
  status?: number;
  away?: boolean;
}

afterEach(() => vi.unstubAllGlobals());

async function begin({ kept = {}, dark = false, person = null, status = 200, away = false }: World) {
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
      return away ? Promise.reject(new TypeError('Failed to fetch')) : Promise.resolve(Response.json({ person }, { status }));
    },
    document: { documentElement: root },
  });
  runInContext(SCRIPT, context);
  return { asked, theme: root.dataset.theme };
}

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
