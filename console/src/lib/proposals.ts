// What waits for a second person, and what somebody may do about it. The gate decides again at each answer.

import type { Happening, Proposal, Role } from './api';
import { mayAs } from './session.svelte';

/** Those that are not forgotten yet, the one that is forgotten first before the others. */
export function open(all: readonly Proposal[], at: number): Proposal[] {
  return all.filter(({ until }) => until > at).sort((a, b) => a.until - b.until);
}

/**
 * What somebody may: `take-back` their own, `answer` another's, `refuse` what they could not do themselves, or `look` at it.
 */
export type Part = 'take-back' | 'answer' | 'refuse' | 'look';

export function part(proposal: Proposal, who: { name: string; role: Role } | null): Part {
  if (!who || !mayAs(who.role, 'operator')) return 'look';
  if (proposal.person === who.name) return 'take-back';
  return mayAs(who.role, proposal.least) ? 'answer' : 'refuse';
}

/** The last that was proposed, approved or refused: whoever hears of it asks anew. */
export function lastTold(happenings: readonly Happening[]): Happening | null {
  return happenings.find(({ kind }) => kind === 'proposal') ?? null;
}
