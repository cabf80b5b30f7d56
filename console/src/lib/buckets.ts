// A line of time as it is drawn: as many columns as there are pixels, in each the average and the worst second. Pure.
//
// Seconds without a request are not in the answer and count as nothing here. A day by the second is 86,400 points of nine figures.

import type { History, Points } from './api';

export const FIGURES = ['served', 'delayed', 'challenged', 'roomed', 'refused', 'failed'] as const;
export type Figure = (typeof FIGURES)[number];

export interface Columns {
  /** When each begins. */
  at: Float64Array;
  /** Milliseconds of one. */
  width: number;
  /** Requests per second, on average. Who waited and was served is among the delayed alone. */
  mean: Record<Figure, Float64Array>;
  /** All requests per second in the busiest point of each. */
  peak: Float64Array;
  /** The slowest of its points' milliseconds for 95 of a hundred. */
  p95: Float64Array;
}

export function columns(history: History, wanted: number): Columns {
  const { from, until, step, points } = history;
  const steps = Math.max(1, Math.ceil((until - from) / step));
  const each = Math.max(1, Math.ceil(steps / Math.max(1, wanted)));
  const count = Math.ceil(steps / each);
  const width = each * step;
  const sums = Object.fromEntries(FIGURES.map((figure) => [figure, new Float64Array(count)])) as Record<Figure, Float64Array>;
  const [peak, p95, at] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
  for (let column = 0; column < count; column += 1) at[column] = from + column * width;
  const second = step / 1000;
  for (let index = 0; index < points.at.length; index += 1) {
    const column = Math.floor(number(points.at, index) / each);
    if (column < 0 || column >= count) continue;
    for (const figure of FIGURES) add(sums[figure], column, figure === 'served' ? Math.max(0, number(points.served, index) - number(points.delayed, index)) : number(points[figure], index));
    raise(peak, column, number(points.requests, index) / second);
    raise(p95, column, number(points.p95, index));
  }
  for (let column = 0; column < count; column += 1) {
    // The last column may reach beyond the end: only what lies within counts.
    const seconds = Math.min(width, until - number(at, column)) / 1000 || 1;
    for (const figure of FIGURES) sums[figure][column] = number(sums[figure], column) / seconds;
  }
  return { at, width, mean: sums, peak, p95 };
}

function number(list: ArrayLike<number>, index: number): number {
  return list[index] ?? 0;
}

function add(list: Float64Array, index: number, value: number): void {
  list[index] = number(list, index) + value;
}

function raise(list: Float64Array, index: number, value: number): void {
  if (value > number(list, index)) list[index] = value;
}

export interface Band {
  posture: string;
  from: number;
  until: number;
}

/** Postures as stretches of time, without those that are ordinary. */
export function bands(history: Pick<History, 'postures' | 'from' | 'until'>): Band[] {
  const sorted = [...history.postures].sort((a, b) => a.at - b.at);
  return sorted
    .map(({ at, posture }, index) => ({ posture, from: Math.max(at, history.from), until: Math.min(sorted[index + 1]?.at ?? history.until, history.until) }))
    .filter(({ posture, from, until }) => posture !== 'normal' && until > from);
}

/** All of it in one line: what a table or a sentence says of a stretch. */
export function totals(points: Points): Record<'requests' | Figure, number> {
  const sum = (list: number[]) => list.reduce((all, one) => all + one, 0);
  const delayed = sum(points.delayed);
  return {
    requests: sum(points.requests),
    served: sum(points.served) - delayed,
    delayed,
    challenged: sum(points.challenged),
    roomed: sum(points.roomed),
    refused: sum(points.refused),
    failed: sum(points.failed),
  };
}

/** The step that is asked for: by the second as long as that is a day at most. */
export function stepOf(span: number): number {
  const second = 1000;
  const most = 86_400;
  if (span <= most * second) return second;
  const minute = 60 * second;
  return Math.max(minute, Math.ceil(span / most / minute) * minute);
}
