// Which view is open: the path of the page, without a library.
import { tick } from 'svelte';

export type View =
  | 'now'
  | 'traffic'
  | 'incidents'
  | 'integrity'
  | 'data'
  | 'rules'
  | 'rehearse'
  | 'settings'
  | 'approvals'
  | 'welcome'
  | 'oidc'
  | 'lost';

export interface Place {
  view: View;
  /** What of it: an incident. */
  of: string | null;
  /** What is asked of it: `?explain=…`. */
  query: URLSearchParams;
}

const VIEWS: readonly View[] = [
  'traffic',
  'incidents',
  'integrity',
  'data',
  'rules',
  'rehearse',
  'settings',
  'approvals',
  'welcome',
  'oidc',
];

/** The place that an address names. */
export function place(path: string, search: string): Place {
  const [first = '', second = '', ...rest] = path.split('/').filter((segment) => segment !== '');
  const query = new URLSearchParams(search);
  if (first === '') return { view: 'now', of: null, query };
  const view = VIEWS.find((name) => name === first);
  const deep = second !== '' && first === 'incidents' && rest.length === 0;
  if (!view || (second !== '' && !deep)) return { view: 'lost', of: null, query };
  return { view, of: deep ? decode(second) : null, query };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

let current = $state.raw<Place>({ view: 'now', of: null, query: new URLSearchParams() });

export const here = {
  get place() {
    return current;
  },
};

function read(): void {
  current = place(location.pathname, location.search);
}

/** Goes there, as a link would, and puts the reader at the top of it. */
export async function go(to: string): Promise<void> {
  history.pushState(null, '', to);
  read();
  await tick();
  window.scrollTo(0, 0);
  document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
}

export function startRoutes(): void {
  read();
  window.addEventListener('popstate', read);
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute('download')) return;
    if (link.origin !== location.origin || link.pathname.startsWith('/api/') || link.getAttribute('href')?.startsWith('#')) return;
    event.preventDefault();
    void go(link.pathname + link.search);
  });
}
