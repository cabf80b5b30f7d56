// What a change of the configuration does, as far as a page works it out itself: which sentence says it, and whether it can be done.

import type { Checked, Effect } from './api';

export type Form = 'added' | 'removed' | 'keyAdded' | 'keyRemoved' | 'changed';

/** Which sentence says it: a whole section, or a key of it. */
export function form({ kind, key }: Pick<Effect, 'kind' | 'key'>): Form {
  if (kind === 'changed') return 'changed';
  if (kind === 'removed') return key ? 'keyRemoved' : 'removed';
  return key ? 'keyAdded' : 'added';
}

/** Nothing is wrong with it, and it is another than what is written. */
export function fit(checked: Checked | null): boolean {
  return checked !== null && checked.diff.length > 0 && checked.problems.every(({ severity }) => severity !== 'error');
}
