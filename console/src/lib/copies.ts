// Copies of personal data, the ways to them, and the statements that wait: what a person should see first.

import type { GuardedDatabase, RegisteredCopy, RegisteredPath, WaitingStatement } from './api';

/** How a way stands: nobody watches it, somebody's word has to do, it is watched with gaps, its last drill was missed, all is well. */
export type Standing = 'unguarded' | 'attested' | 'missed' | 'unknown' | 'gaps' | 'whole';

/** So much of the time is whole: sensors need a moment after the gate begins. */
const WHOLE = 0.999;

export function standing(path: RegisteredPath): Standing {
  if (path.custody === 'unguarded' || path.custody === 'attested') return path.custody;
  if (path.drill && !path.drill.seen) return 'missed';
  if (path.covered === null) return 'unknown';
  return path.covered >= WHOLE ? 'whole' : 'gaps';
}

const WORST: readonly Standing[] = ['missed', 'unguarded', 'gaps', 'unknown', 'attested', 'whole'];

/** Ways of all copies in one list, the worst first. */
export function ways(copies: readonly RegisteredCopy[]): { copy: RegisteredCopy; path: RegisteredPath; standing: Standing }[] {
  const all = copies.flatMap((copy) => copy.paths.map((path) => ({ copy, path, standing: standing(path) })));
  return all.sort((a, b) => WORST.indexOf(a.standing) - WORST.indexOf(b.standing) || a.copy.name.localeCompare(b.copy.name) || a.path.name.localeCompare(b.path.name));
}

/** Why a statement waits. */
export function why(one: WaitingStatement): 'further' | 'refused' | 'learned' {
  return one.approved !== null ? 'further' : one.refused ? 'refused' : 'learned';
}

/** What was refused first, then what reaches further, then what was learned; each the newest first. */
export function byNeed(waiting: readonly WaitingStatement[]): WaitingStatement[] {
  const rank = { refused: 0, further: 1, learned: 2 } as const;
  return [...waiting].sort((a, b) => rank[why(a)] - rank[why(b)] || b.first - a.first);
}

/** All that wait, over databases. */
export function waitingOf(databases: readonly GuardedDatabase[]): number {
  return databases.reduce((sum, { total }) => sum + total, 0);
}
