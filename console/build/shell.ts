// Writes what stands around the pages: early.js under a name of its content; sw.js, the service worker with the list
// of files that the console needs to open without a network; and each file as Brotli beside itself, as the gate sends it.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import type { Plugin } from 'vite';

/** Charts are fetched when somebody looks at them, and kept from then on. */
const LATER = /chart/i;
const read = (name: string) => readFileSync(new URL(`../src/${name}`, import.meta.url), 'utf8');
const hash = (text: string) => createHash('sha256').update(text).digest('hex');

export function shell(): Plugin {
  const early = read('early.js');
  const earlyName = `assets/early-${hash(early).slice(0, 8)}.js`;
  return {
    name: 'shell',
    transformIndexHtml: {
      order: 'post',
      // While one develops there is no file of that name.
      handler: (_html, { bundle }) => [{ tag: 'script', attrs: { src: bundle ? `/${earlyName}` : '/src/early.js' } }],
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: earlyName, source: early });
    },
    // What is written, and not what was to be: a file that is not there keeps a browser from keeping any.
    writeBundle({ dir = 'dist' }, bundle) {
      const built = Object.keys(bundle).filter((name) => /\.(js|css)$/.test(name) && !LATER.test(name));
      const files = ['/', '/icon.svg', '/manifest.webmanifest', ...built.sort().map((name) => `/${name}`)];
      const source = read('worker.js')
        .replace('__VERSION__', hash(files.join('\n')).slice(0, 12))
        .replace("['__FILES__']", JSON.stringify(files));
      writeFileSync(join(dir, 'sw.js'), source);
      for (const name of Object.keys(bundle)) if (/\.(html|js|css)$/.test(name)) writeFileSync(join(dir, `${name}.br`), brotliCompressSync(readFileSync(join(dir, name))));
    },
  };
}
