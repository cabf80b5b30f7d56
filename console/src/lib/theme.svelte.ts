// Light or dark: as the system prefers, unless the reader chose. early.js does the same before anything is drawn.

import { recall, remember } from './words.svelte';

export type Theme = 'auto' | 'light' | 'dark';

const KEPT = 'portcullis.theme';

let theme = $state<Theme>('auto');
let system = $state(false);

export const look = {
  get theme() {
    return theme;
  },
  /** What is drawn now: charts need to know. */
  get dark() {
    return theme === 'auto' ? system : theme === 'dark';
  },
};

export function choose(wanted: Theme): void {
  theme = wanted;
  remember(KEPT, wanted === 'auto' ? null : wanted);
  apply();
}

export function startTheme(): void {
  const kept = recall(KEPT);
  theme = kept === 'light' || kept === 'dark' ? kept : 'auto';
  const query = matchMedia('(prefers-color-scheme: dark)');
  system = query.matches;
  query.addEventListener('change', () => {
    system = query.matches;
    apply();
  });
  apply();
}

function apply(): void {
  document.documentElement.dataset.theme = look.dark ? 'dark' : 'light';
}
