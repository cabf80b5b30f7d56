// What can be said of one incident, as `portcullis incident show --json` has it: as much of it as the console shows.

import type { Draft } from './api';

export interface Evidence {
  records: number;
  /** Where they lie in the ledger: all of them, or some where `whole` is not true. */
  indices: number[];
  whole: boolean;
  /** `records 4, 7 and 9`. */
  words: string;
}

export interface Reason {
  words: string;
  evidence: Evidence;
}

export interface Verdict {
  claim: string;
  asset: string | null;
  outcome: string;
  confidence: string;
  sentence: string;
  confidence_sentence: string;
  because: Reason[];
}

export interface Figure {
  id: string;
  key: string;
  words: string;
  value: number;
  unit: string;
  evidence: Evidence;
}

export interface Entry {
  at: number;
  kind: string;
  platform: string;
  words: string;
  weight: 'first' | 'second' | 'third';
  evidence: Evidence;
}

export interface Wave {
  number: number;
  from: number;
  until: number | null;
  platforms: string[];
  evidence: Evidence;
}

export interface Paper {
  kind: string;
  at: number;
  by: string;
  to: string;
  words: string;
  form: string;
  receipt: string;
}

export interface RouteHarm {
  platform: string;
  route: string;
  audience: string;
  requests: number;
  served: number;
  failed: number;
  refused: number;
  challenged: number;
  roomed: number;
  delayed: number;
  visitors: string;
  evidence: Evidence;
}

export interface ChartLine {
  what: string;
  counts: number[];
}

export interface PlatformReport {
  name: string;
  requests: number;
  served: number;
  failed: number;
  held: number;
  delayed: number;
  per_second: number;
  ordinary_ms: number | null;
  worst_ms: number;
  slowed_from: string | null;
  restored: string | null;
  chart: { seconds: number; ends: string[]; most: number; lines: ChartLine[] } | string;
}

export interface InForce {
  id: string;
  platform: string;
  what: string;
  action: string;
  by: string;
  from: number;
  until: number | null;
  evidence: Evidence;
}

export interface Sentence {
  words: string;
  /** `measured`, `judged`, `stated`, `refused`. */
  grade: string;
  figures: string[];
  evidence: Evidence;
}

export interface Report {
  incident: { id: string; since: number; cause: string; words: string; platforms: string[]; waves: Wave[]; closed: { by: string; at: number; words: string } | null };
  written_millis: number;
  until_millis: number;
  open: boolean;
  figures: Figure[];
  platforms: PlatformReport[];
  routes: RouteHarm[];
  more_routes: number;
  measures: InForce[];
  more_measures: number;
  first_act: Reason | null;
  assessment: { headlines: Verdict[]; verdicts: Verdict[]; residuals: Reason[]; ledger_faults: Reason[] };
  notes: Paper[];
  decisions: Paper[];
  told: Paper[];
  reports: Paper[];
  timeline: { entries: Entry[]; omitted: Record<string, number> };
  statement: { sentences: Sentence[]; never: Sentence[] };
  open_questions: string[];
  ledger: { verified: boolean | null; words: string };
}

/** The most urgent first; without a clock last. What was handed in is done. */
export function byClock(drafts: readonly Draft[], reports: readonly Paper[]): { draft: Draft; done: Paper | null }[] {
  const done = (draft: Draft) => reports.find(({ form }) => form === draft.id) ?? null;
  const rank = (one: { draft: Draft; done: Paper | null }) => (one.done ? 2 : one.draft.due === null ? 1 : 0);
  return drafts
    .map((draft) => ({ draft, done: done(draft) }))
    .sort((a, b) => rank(a) - rank(b) || (a.draft.due ?? 0) - (b.draft.due ?? 0));
}

/** What befell people who were known as such, by the figures of the report. */
export function people(report: Report): { figure: Figure; share: number | null }[] {
  const of = (key: string) => report.figures.find((figure) => figure.key === key);
  const all = of('people');
  if (!all) return [];
  return ['people', 'people_touched', 'people_refused'].flatMap((key) => {
    const figure = of(key);
    return figure ? [{ figure, share: key === 'people' || all.value === 0 ? null : figure.value / all.value }] : [];
  });
}

/** Lines of the report's chart as paths in a box of 100 by 100. */
export function paths(lines: readonly ChartLine[], most: number): { what: string; path: string }[] {
  return lines.map(({ what, counts }) => ({
    what,
    path: counts.map((count, index) => `${index === 0 ? 'M' : 'L'}${((100 * index) / Math.max(1, counts.length - 1)).toFixed(2)} ${(98 - (96 * count) / Math.max(1, most)).toFixed(2)}`).join(''),
  }));
}

/** The words of an evidence in parts, with the place in the ledger of each part that names one. */
export function parts(evidence: Evidence): { text: string; index: number | null }[] {
  const known = new Set(evidence.indices);
  // `5 records from 7 to 90`: a number that comes first says how many there are.
  let count = /^\d/.test(evidence.words);
  return evidence.words
    .split(/(\d+)/)
    .filter((text) => text !== '')
    .map((text) => {
      if (!/^\d+$/.test(text)) return { text, index: null };
      const named = !count && known.has(Number(text));
      count = false;
      return { text, index: named ? Number(text) : null };
    });
}
