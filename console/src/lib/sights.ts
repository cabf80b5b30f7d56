// How the sensors stand, as `portcullis sensors --json` has it.

export interface Sight {
  sensor: string;
  state: 'up' | 'blind' | 'down';
  /** Why it does not see. */
  why: string;
  words: string;
  /** What it can never see. */
  blind_to: string;
  seen: number;
  dropped: number;
  findings: number;
  /** The newest at the end. */
  latest: { unix_millis: number; what: string; words: string; drill: string }[];
}

const RANK: Record<Sight['state'], number> = { down: 0, blind: 1, up: 2 };

/** What does not see first, then what has found most. */
export function bySight(sights: readonly Sight[]): Sight[] {
  return [...sights].sort((a, b) => RANK[a.state] - RANK[b.state] || b.findings - a.findings || a.sensor.localeCompare(b.sensor));
}
