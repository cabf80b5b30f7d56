// The reader's language: the first messages at once, the others from a file each, and the formats that go with it.

import first from 'virtual:first-words';
import type english from '../messages/en.json';
import { countries, grouped, numbers, type Marks } from './formats';

export type Language = 'en' | 'da';
export type Key = keyof typeof english;
/** Messages that differ by number: `x.one` and `x.other`. */
export type Plural = { [K in Key]: K extends `${infer Stem}.other` ? Stem : never }[Key];
export type Values = Record<string, string | number>;

/** British times and figures; Danish ones. */
const LOCALE: Record<Language, string> = { en: 'en-GB', da: 'da-DK' };
const MARKS: Record<Language, Marks> = { en: { group: ',', point: '.', percent: '%' }, da: { group: '.', point: ',', percent: '\u00a0%' } };
const KEPT = 'portcullis.language';

/** What is drawn is drawn again when the language changes, and not when more of its words come: whoever needs those waits for them. */
const tables: Record<Language, Partial<Record<Key, string>>> = { ...first };
let language = $state<Language>('en');
/** The same, or what was chosen and is on its way. Whoever waits for words asks here: a view would begin anew with each change of what it asked. */
let wanted: Language = 'en';

export const words = {
  get language() {
    return language;
  },
  get locale() {
    return LOCALE[language];
  },
  /** What the gate says itself is English: a screen reader is told so where the page is not. */
  get foreign(): 'en' | undefined {
    return language === 'en' ? undefined : 'en';
  },
};

/** What the reader chose before, or the first of their languages that there is. */
export function preferred(kept: string | null, tags: readonly string[]): Language {
  if (kept === 'en' || kept === 'da') return kept;
  const known = tags.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag === 'en' || tag === 'da' || tag === 'nb');
  return known === 'da' || known === 'nb' ? 'da' : 'en';
}

export function startLanguage(): void {
  begin(preferred(recall(KEPT), navigator.languages));
}

/** Once all words of the reader's language are there. */
export function whole(): Promise<void> {
  return learn(wanted);
}

/** Changes the language, once its words are there. The last choice holds. */
export async function speak(chosen: Language, keep = false): Promise<void> {
  wanted = chosen;
  await learn(chosen);
  if (wanted !== chosen) return;
  begin(chosen);
  if (keep) remember(KEPT, chosen);
}

async function learn(one: Language): Promise<void> {
  const file = one === 'da' ? await import('../messages/da.json') : await import('../messages/en.json');
  tables[one] = file.default;
}

function begin(one: Language): void {
  wanted = one;
  language = one;
  document.documentElement.lang = one;
}

/** A message with its gaps filled. */
export function t(key: Key, values: Values = {}): string {
  return fill(tables[language][key] ?? key, values);
}

/** A message that may be missing, because a later gate has words that this page does not know. */
export function text(key: string, values: Values): string | null {
  const found = tables[language][key as Key];
  return found === undefined ? null : fill(found, values);
}

/** A message in the form that the number, a whole one, asks for: in both languages one is one. The number fills `{n}`. */
export function many(stem: Plural, n: number, values: Values = {}): string {
  return t(`${stem}.${n === 1 ? 'one' : 'other'}` as Key, { n: number(n), ...values });
}

type Kind =
  | 'posture'
  | 'reading'
  | 'sign'
  | 'level'
  | 'audience'
  | 'phase'
  | 'action'
  | 'kind'
  | 'by'
  | 'verdict'
  | 'role'
  | 'outcome'
  | 'grade'
  | 'confidence'
  | 'claim'
  | 'asset'
  | 'state'
  | 'advice'
  | 'scope'
  | 'finding'
  | 'way'
  | 'rehearsal'
  | 'whom'
  | 'approval'
  | 'stage'
  | 'bird'
  | 'part'
  | 'datum'
  | 'unread'
  | 'category';

/** The name of one of the API's words, such as a posture; the word itself where there is no name yet. */
export function named(kind: Kind, word: string): string {
  return tables[language][`${kind}.${word}` as Key] ?? word;
}

/** The name of a word that the configuration lets one choose; the word itself where there is no name yet. */
export function picked(word: string): string {
  return text(`pick.${word}`, {}) ?? named('approval', word);
}

export function fill(text: string, values: Values): string {
  return text.replace(/\{(\w+)\}/g, (gap, name: string) => String(values[name] ?? gap));
}

/** A number with the reader's separators. */
export function number(value: number, digits = 0): string {
  return grouped(value, digits, MARKS[language]);
}

/** What the gate wrote with powers of ten, `rows to 1e4`, in figures that are read. */
export function figures(text: string): string {
  return text.replace(/\b1e(\d{1,2})\b/g, (_, power: string) => number(10 ** Number(power)));
}

/** Requests per second: one decimal below ten. */
export function rate(value: number): string {
  return number(value, value > 0 && value < 10 ? 1 : 0);
}

/** A country by its code; the code itself where nobody knows a name for it. */
export function country(code: string): string {
  if (!/^[A-Z]{2}$/.test(code)) return '';
  return countries(LOCALE[language]).of(code) ?? code;
}

/** How long something lasted or lasts, in its two largest units at most: `2 h 5 min`. In our own words: a browser's own take a slow telephone as long as half the first screen. */
export function span(millis: number): string {
  const second = Math.floor(Math.max(0, millis) / 1000);
  const [minute, hour, day] = [Math.floor(second / 60), Math.floor(second / 3600), Math.floor(second / 86_400)];
  if (minute === 0) return many('span.second', second);
  if (hour === 0) return many('span.minute', minute);
  const [large, small] = day === 0 ? [many('span.hour', hour), [minute % 60, 'span.minute'] as const] : [many('span.day', day), [hour % 24, 'span.hour'] as const];
  return small[0] > 0 ? `${large} ${many(small[1], small[0])}` : large;
}

/** A share, never rounded to all or nothing unless it is: below a thousandth by its first digit. */
export function percent(share: number): string {
  const shown = (share < 1 && share > 0.999 ? 0.999 : share) * 100;
  const digits = share > 0 && share < 0.001 ? Math.min(20, -Math.floor(Math.log10(shown))) : 1;
  return `${number(shown, digits)}${MARKS[language].percent}`;
}

export function bytes(value: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;
  const power = value < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  const unit = units[power] ?? 'byte';
  const style = { style: 'unit', unit, unitDisplay: power === 0 ? 'long' : 'short', maximumFractionDigits: 1 } as const;
  return numbers(LOCALE[language], style).format(value / 1000 ** power);
}

export function remember(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Storage is closed or full: what was chosen holds until the page is closed.
  }
}

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
