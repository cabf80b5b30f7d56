// Asking the gate. Whatever changes something carries the session's proof that this page asked, and not another.

import type { Problem, Proposal } from './api';
import { early } from './early';

/** Where the API lies. */
export const BASE = '/api/v1/';
/** Milliseconds after which an answer is no longer waited for. */
const PATIENCE = 20_000;
/** What first has the gate try everything that watches, which takes two minutes at most. */
const TRIED = /^(drills|incidents\/)/;
const TRIED_PATIENCE = 150_000;

/** What the gate, or the way to it, said no with. Status 0: it could not be reached. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    /** Seconds to wait before asking again, where the gate said so. */
    readonly wait: number | null = null,
  ) {
    super(detail || title);
  }
}

/** It is not done: the policy asks for a second person, and it waits for one. */
export class Waits extends Error {
  constructor(readonly proposal: Proposal) {
    super(proposal.words);
  }
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

let proof: string | null = null;
let dismissed: () => void = () => {};

/** The session's proof; none when nobody is signed in. */
export function carry(csrf: string | null): void {
  proof = csrf;
}

/** Whom to tell when the gate no longer knows the session. */
export function whenDismissed(tell: () => void): void {
  dismissed = tell;
}

/** Asks, and reads the answer. `T` is what the API's document promises for the path with 200; with 202 it `Waits`. */
export async function ask<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && proof) headers['X-Portcullis-Csrf'] = proof;
  let answer: Response;
  try {
    answer = (method === 'GET' && (await early(path))) || await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(TRIED.test(path) ? TRIED_PATIENCE : PATIENCE),
    });
  } catch (error) {
    throw new Refusal(0, 'unreachable', error instanceof Error ? error.message : '');
  }
  if (!answer.ok) {
    const refusal = await refused(answer);
    if (refusal.status === 401 && !path.startsWith('session')) dismissed();
    throw refusal;
  }
  if (answer.status === 204) return undefined as T;
  if (answer.status === 202) throw new Waits((await answer.json()) as Proposal);
  return (await answer.json()) as T;
}

/** A problem as RFC 9457 has it, or what can be made of anything else. */
export async function refused(answer: Response): Promise<Refusal> {
  const wait = Number(answer.headers.get('Retry-After') ?? NaN);
  const problem = (await answer.json().catch(() => ({}))) as Partial<Problem>;
  const title = problem.title ?? (answer.statusText || String(answer.status));
  return new Refusal(answer.status, title, problem.detail ?? '', Number.isFinite(wait) ? wait : null);
}

/** A name or id as one segment of a path. */
export const part = encodeURIComponent;
