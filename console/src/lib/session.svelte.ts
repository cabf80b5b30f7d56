// Who is signed in, and what they may do here. The gate decides again at each act; this only spares a vain attempt.

import type { Now, Role, Session } from './api';
import { ask, carry, Refusal, whenDismissed } from './http';
import { remember } from './words.svelte';

/** The last state, kept for a page that opens without a network. */
export const KEPT_STATE = 'portcullis.state';
/** Who was signed in when it was kept. */
const KEPT_WHO = 'portcullis.who';
const RANK: Record<Role, number> = { viewer: 0, operator: 1, owner: 2 };

/** `away`: the gate cannot be reached, and nothing is known of the session. */
type Standing = 'asking' | 'known' | 'away';

let session = $state.raw<Session | null>(null);
let standing = $state<Standing>('asking');

export const me = {
  get session() {
    return session;
  },
  get person() {
    return session?.person ?? null;
  },
  get standing() {
    return standing;
  },
};

export function mayAs(role: Role | undefined, wanted: Role): boolean {
  return role !== undefined && RANK[role] >= RANK[wanted];
}

export function may(wanted: Role): boolean {
  return mayAs(session?.person?.role, wanted);
}

/** Takes in what the gate says of the session. Nothing of it stays on the device once nobody is signed in. */
export function meet(fresh: Session): void {
  session = fresh;
  standing = 'known';
  carry(fresh.csrf);
  remember(KEPT_WHO, fresh.person?.name ?? null);
  if (!fresh.person) remember(KEPT_STATE, null);
}

/** Begins, and answers how everything stands if somebody is signed in who may know. early.js asks the same before this is there. */
export async function startSession(): Promise<Now | null> {
  whenDismissed(() => void renew());
  return (await renew('session?now=true'))?.now ?? null;
}

/** Asks anew. A gate that does not answer ends no session. */
export async function renew(path = 'session'): Promise<Session | null> {
  try {
    const fresh = await ask<Session>('GET', path);
    meet(fresh);
    return fresh;
  } catch (error) {
    if (standing === 'known') return null;
    standing = 'away';
    if (error instanceof Refusal && error.status === 401) {
      meet({ person: null, csrf: null, fresh: false, ways: ['password'], provider: null, organisation: '' });
    }
    return null;
  }
}

export async function leave(): Promise<void> {
  await ask('DELETE', 'session');
  remember(KEPT_STATE, null);
  await renew();
}
