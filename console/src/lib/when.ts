// Times: in the reader's zone, with UTC beside where the two differ. Everything takes the clock as a parameter.

import { dates } from './formats';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export interface Zone {
  locale: string;
  /** None for the reader's own. */
  timeZone?: string;
}

/** The time of day; with the day where it is not today's. */
export function local(at: number, now: number, zone: Zone, seconds = true): string {
  const day = dayOf(at, zone) === dayOf(now, zone) ? {} : ({ day: 'numeric', month: 'short', ...(Math.abs(now - at) > 300 * DAY ? { year: 'numeric' } : {}) } as const);
  return format(at, zone, { ...day, hour: '2-digit', minute: '2-digit', ...(seconds ? { second: '2-digit' } : {}) });
}

/** The same in UTC, named; empty where the reader's zone is UTC at that time. */
export function universal(at: number, now: number, zone: Zone, seconds = true): string {
  const there: Zone = { locale: zone.locale, timeZone: 'UTC' };
  // The day stands beside it already, unless it is another there.
  const text = local(at, dayOf(at, zone) === dayOf(at, there) ? at : now, there, seconds);
  const offset = format(at, zone, { day: '2-digit', hour: '2-digit', minute: '2-digit' });
  return offset === format(at, there, { day: '2-digit', hour: '2-digit', minute: '2-digit' }) ? '' : `${text} UTC`;
}

/** The time that the gate wrote as `2026-05-17 22:30:05 UTC`; none where it wrote something else. */
export function told(text: string): number | null {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$/.exec(text);
  return parts ? Date.parse(`${parts[1]}T${parts[2]}Z`) : null;
}

/** A day that is written `2026-05-17`, as the reader writes days; other words as they are. */
export function day(text: string, locale: string): string {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? text : dates(locale, { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' }).format(at);
}

function format(at: number, zone: Zone, options: Intl.DateTimeFormatOptions): string {
  const where = zone.timeZone === undefined ? {} : { timeZone: zone.timeZone };
  return dates(zone.locale, { hourCycle: 'h23', ...options, ...where }).format(at);
}

function dayOf(at: number, zone: Zone): string {
  return format(at, zone, { year: 'numeric', month: '2-digit', day: '2-digit' });
}

/** What `<input type="datetime-local">` holds for a time of the reader's zone, and back. */
export function toField(at: number): string {
  const date = new Date(at);
  return new Date(at - date.getTimezoneOffset() * MINUTE).toISOString().slice(0, 16);
}

export function fromField(text: string): number | null {
  const at = new Date(text).getTime();
  return Number.isFinite(at) ? at : null;
}
