// The words of the first screen, `virtual:first-words`: a slow telephone says its first sentence with these, and fetches the others after that.

import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';
import { FIRST } from '../src/messages/first.ts';

const ID = 'virtual:first-words';

export function words(): Plugin {
  return {
    name: 'words',
    resolveId: (id) => (id === ID ? `\0${ID}` : null),
    load(id) {
      if (id !== `\0${ID}`) return null;
      const of = (language: string) => {
        const file = new URL(`../src/messages/${language}.json`, import.meta.url).pathname;
        this.addWatchFile(file);
        const all = Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>);
        return Object.fromEntries(all.filter(([key]) => FIRST.some((head) => key === head || key.startsWith(`${head}.`))));
      };
      // Browsers read JSON faster than the same as a program.
      return `export default JSON.parse(${JSON.stringify(JSON.stringify({ en: of('en'), da: of('da') }))});`;
    },
  };
}
