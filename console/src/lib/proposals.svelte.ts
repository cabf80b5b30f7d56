// What waits for a second person, as every view sees it.

import type { Proposal } from './api';
import { ask } from './http';
import { time } from './live.svelte';
import { open } from './proposals';

let all = $state.raw<Proposal[]>([]);
let asked = 0;
let taken = 0;

export const proposals = {
  get waiting() {
    return open(all, time.there);
  },
};

/** Asks anew. A gate that does not answer is told of elsewhere; an answer that was overtaken is none any more. */
export async function lookAgain(): Promise<void> {
  const mine = (asked += 1);
  const fresh = await ask<Proposal[]>('GET', 'proposals').catch(() => null);
  if (!fresh || mine < taken) return;
  taken = mine;
  all = fresh;
}
