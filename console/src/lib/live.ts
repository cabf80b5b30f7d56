// The live state: what came last, how old it is, and the stream that brings it. Pure but for the `Outside` that it is handed.

import type { Happening, Now, Rates } from './api';

/** Seconds of each platform's line that are kept. */
export const KEPT = 180;
/** Happenings that are kept. */
export const TOLD = 200;
/** Milliseconds without a word after which the state is called old. */
export const STALE = 5_000;
/** Milliseconds without a word after which an open stream is taken for dead. */
export const DEAD = 15_000;
/** Milliseconds between two questions while the stream is down. */
export const POLL = 5_000;
/** Milliseconds until a closed stream is tried again, the first time and at most. */
const RETRY = [1_000, 30_000] as const;

/** How the state comes: by the stream, by asking every few seconds, not at all. */
export type Link = 'opening' | 'stream' | 'asked' | 'lost';

export interface Moment {
  at: number;
  rates: Rates;
}

/** What happened, by its place in the stream. */
export interface Told extends Happening {
  id: number;
}

export interface Live {
  now: Now | null;
  /** When it came, by the reader's clock. */
  received: number;
  link: Link;
  /** Newest first. */
  happenings: Told[];
  /** The last seconds of each platform, oldest first. */
  lines: Record<string, Moment[]>;
}

export const NOTHING: Live = { now: null, received: 0, link: 'opening', happenings: [], lines: {} };

/** Takes in a state. One that is older than the last is dropped: answers overtake one another. */
export function take(live: Live, now: Now, clock: number, link: Link): Live {
  if (live.now && live.now.node === now.node && now.at < live.now.at) return { ...live, received: clock, link };
  const lines: Record<string, Moment[]> = {};
  for (const { name, rates } of now.platforms) {
    const line = live.lines[name] ?? [];
    const fresh = line.filter((moment) => moment.at > now.at - KEPT * 1000 && moment.at !== now.at);
    lines[name] = rates ? [...fresh, { at: now.at, rates }] : fresh;
  }
  return { ...live, now, received: clock, link, lines };
}

export function hear(live: Live, happening: Told): Live {
  return { ...live, happenings: [happening, ...live.happenings].slice(0, TOLD) };
}

/** Milliseconds since the last word. */
export function age(live: Live, clock: number): number {
  return Math.max(0, clock - live.received);
}

export function isOld(live: Live, clock: number): boolean {
  return live.now !== null && age(live, clock) > STALE;
}

/** What is kept over a reload. */
export function pack(live: Live): string | null {
  return live.now ? JSON.stringify({ v: 1, now: live.now, received: live.received }) : null;
}

export function unpack(text: string | null): Live {
  try {
    const kept = JSON.parse(text ?? '') as { v: number; now: Now; received: number };
    if (kept.v !== 1 || !Array.isArray(kept.now.platforms) || !Number.isFinite(kept.received)) return NOTHING;
    return { ...NOTHING, now: kept.now, received: kept.received };
  } catch {
    return NOTHING;
  }
}

/** As much of an `EventSource` as is used. */
export interface Source {
  readonly readyState: number;
  addEventListener(kind: string, listen: (event: MessageEvent<string>) => void): void;
  close(): void;
}

/** What the stream needs of the world. */
export interface Outside {
  /** Opens the stream from the last happening that was heard on; 0 for none. A browser resumes one that breaks by itself. */
  open(last: number): Source;
  /** Asks for the state once. */
  poll(): Promise<Now>;
  clock(): number;
  /** Between 0 and 1. */
  random(): number;
  /** The state changed. */
  changed(live: Live): void;
}

const CLOSED = 2;

/** Keeps the state fresh. `beat` is called about once a second. */
export class Stream {
  live: Live;
  #outside: Outside;
  #source: Source | null = null;
  #last = 0;
  #opened = 0;
  #failures = 0;
  #retryAt = 0;
  #polling = false;
  #polledAt = 0;

  constructor(live: Live, outside: Outside) {
    this.live = live;
    this.#outside = outside;
  }

  start(): void {
    this.#retryAt = 0;
    this.#reopen();
  }

  stop(): void {
    this.#source?.close();
    this.#source = null;
    this.#retryAt = Infinity;
  }

  /** Takes in a state that was asked for beside the stream, which is as it was; only what was lost is not any more. */
  told(now: Now): void {
    const { link } = this.live;
    this.#set(take(this.live, now, this.#outside.clock(), link === 'lost' ? 'asked' : link));
  }

  /** What time brings: a stream that is tried again, a state that is asked for, one that has become old. */
  beat(): void {
    const clock = this.#outside.clock();
    if (this.#retryAt === Infinity) return;
    const silent = clock - Math.max(this.live.received, this.#opened);
    const dead = this.#source === null || this.#source.readyState === CLOSED || silent > DEAD;
    if (this.#source && dead) this.#failed(clock);
    if (this.#source === null && clock >= this.#retryAt) this.#reopen();
    const heard = clock - this.live.received;
    if (heard <= STALE) return;
    if (this.live.link !== 'lost' && silent > STALE) this.#set({ ...this.live, link: 'lost' });
    if (!this.#polling && clock - this.#polledAt >= POLL) void this.#poll(clock);
  }

  #reopen(): void {
    this.#source?.close();
    this.#opened = this.#outside.clock();
    const source = this.#outside.open(this.#last);
    this.#source = source;
    source.addEventListener('now', (event) => this.#heard(source, () => this.#now(event)));
    source.addEventListener('happening', (event) =>
      this.#heard(source, () => {
        // Nothing is told twice, whatever a stream begins with. Ids ascend, also over restarts of the gate.
        const id = Number(event.lastEventId);
        if (id <= this.#last) return;
        this.#last = id;
        this.#set(hear(this.live, { ...(JSON.parse(event.data) as Happening), id }));
      }),
    );
    source.addEventListener('error', () => {
      if (source === this.#source && source.readyState === CLOSED) this.#failed(this.#outside.clock());
    });
  }

  #now(event: MessageEvent<string>): void {
    this.#failures = 0;
    this.#set(take(this.live, JSON.parse(event.data) as Now, this.#outside.clock(), 'stream'));
  }

  /** What an earlier stream still says is not heard; what cannot be read is as if it had not been said. */
  #heard(source: Source, listen: () => void): void {
    if (source !== this.#source) return;
    try {
      listen();
    } catch {
      this.#failed(this.#outside.clock());
    }
  }

  #failed(clock: number): void {
    this.#source?.close();
    this.#source = null;
    const [first, most] = RETRY;
    const wait = Math.min(most, first * 2 ** this.#failures);
    this.#failures += 1;
    this.#retryAt = clock + wait * (0.5 + this.#outside.random() / 2);
  }

  async #poll(clock: number): Promise<void> {
    this.#polling = true;
    this.#polledAt = clock;
    try {
      const now = await this.#outside.poll();
      if (this.#retryAt !== Infinity) this.#set(take(this.live, now, this.#outside.clock(), 'asked'));
    } catch {
      if (this.live.link !== 'lost') this.#set({ ...this.live, link: 'lost' });
    } finally {
      this.#polling = false;
    }
  }

  #set(live: Live): void {
    this.live = live;
    this.#outside.changed(live);
  }
}
