// What a screen makes of a rehearsal: stretches of one posture, lines to draw, values with their units. Pure.

import type { Expectation, Seconds } from './api';

/** A time in which the gravest posture stayed the same, with what came in it. */
export interface Stretch {
  posture: string;
  /** Seconds since the world began. */
  from: number;
  until: number;
  people: number;
  refused: number;
  attack: number;
  passed: number;
  /** The slowest hundredth of people's requests at its worst, in milliseconds. */
  p99: number;
}

export function stretches(of: Seconds): Stretch[] {
  const all: Stretch[] = [];
  of.second.forEach((until, index) => {
    const posture = of.posture[index] ?? 'normal';
    let last = all.at(-1);
    if (last?.posture !== posture) {
      last = { posture, from: last?.until ?? 0, until, people: 0, refused: 0, attack: 0, passed: 0, p99: 0 };
      all.push(last);
    }
    last.until = until;
    last.people += of.legitimate[index] ?? 0;
    last.refused += of.legitimate_refused[index] ?? 0;
    last.attack += of.attack[index] ?? 0;
    last.passed += of.attack_passed[index] ?? 0;
    last.p99 = Math.max(last.p99, of.p99_ms[index] ?? 0);
  });
  return all;
}

/** Short stretches make a long table: the longest are shown, in their order. */
export function longest(all: readonly Stretch[], most: number): Stretch[] {
  const length = ({ from, until }: Stretch) => until - from;
  const kept = new Set([...all].sort((a, b) => length(b) - length(a)).slice(0, most));
  return all.filter((one) => kept.has(one));
}

/** What came each second, by point. */
export function rates(of: Seconds, values: readonly number[]): number[] {
  return of.second.map((until, index) => (values[index] ?? 0) / Math.max(1, until - (of.second[index - 1] ?? 0)));
}

/** A line through a box, from its left to its right; `top` is the value at its upper edge. */
export function line(values: readonly number[], top: number, width: number, height: number): string {
  const step = width / Math.max(1, values.length - 1);
  return values.map((value, index) => `${(index * step).toFixed(1)},${(height * (1 - Math.min(1, value / (top || 1)))).toFixed(1)}`).join(' ');
}

/** What is expected, as a sign before the limit. */
export function bound({ name, limit }: Pick<Expectation, 'name' | 'limit'>): { figure: string; sign: '≥' | '≤' | '=' } {
  const least = name.endsWith(' at least');
  return { figure: least ? name.slice(0, -' at least'.length) : name, sign: least ? '≥' : limit === 0 ? '=' : '≤' };
}

/** A value with its unit; `of` writes numbers as the reader does. */
export function measured(value: number, unit: string, of: (value: number, digits?: number) => string): string {
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 3 : 1;
  const text = of(value, digits);
  return unit === '' ? text : unit === 'x' ? `${text}×` : unit === '/s' ? `${text}/s` : `${text} ${unit}`;
}

/** Minutes and seconds since the world began. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** A seed that somebody typed: a whole number that survives JSON. */
export function seed(text: string): number | null {
  const value = Number(text.trim() || '1');
  return Number.isSafeInteger(value) && value >= 0 ? value : null;
}
