// What waits for a second person, as every view sees it.

import type { Proposal } from './api';
import { ask } from './http';
import { time } from './live.svelte';
import { open } from './proposals';

let all = $state.raw<Proposal[]>([]);

export const proposals = {
  get waiting() {
    return open(all, time.there);
  },
};

/** Asks anew. A gate that does not answer is told of elsewhere. */
export async function lookAgain(): Promise<void> {
  all = await ask<Proposal[]>('GET', 'proposals').catch(() => all);
}
