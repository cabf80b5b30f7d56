// How the console is built. The output is files alone: no inline script, no inline style, nothing from elsewhere.

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { shell } from './build/shell.ts';
import { words } from './build/words.ts';

// Where a gate's admin listener or the mock answers, for `npm run dev`.
const gate = process.env.PORTCULLIS_API ?? 'http://127.0.0.1:4180';

export default defineConfig({
  plugins: [svelte(), words(), shell()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // ECharts is one lazy chunk of about this size; the budget that counts is the first view's (scripts/budget.mjs).
    chunkSizeWarningLimit: 600,
    // What the first sentence needs comes in one file, and what stands below it and elsewhere in another: a slow telephone spends 7 ms on each.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'first', tags: ['$initial'], priority: 1 },
            { name: 'below', test: /\/src\/(views\/now\/|parts\/(?!TimeChart))/ },
          ],
        },
      },
    },
  },
  // The gate answers only to its own name, and to pages of its own.
  server: { proxy: { '/api': { target: gate, changeOrigin: true, headers: { origin: gate } } } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
