// What the gate says as values becomes a sentence in the reader's language. Where a message is missing, the gate's words stand.

import type { Clause } from './api';
import { local, universal } from './when';
import { bytes, named, number, percent, text, type Values, words } from './words.svelte';

/** Which family of messages: causes and grounds, parts of a pattern, what happened, advice, steps of an explanation. */
export type Family = 'clause' | 'literal' | 'did' | 'advise' | 'step';

/** Figures that are shares of one, beside those that are called so. */
const SHARES = ['share', 'explains'];
/** Clauses in which what is now and what is usual are shares. */
const OF_TRIES = ['failures', 'missing'];
/** Figures that are bytes, whatever the clause. */
const BYTES = ['came', 'went'];

/** Names that are words of the gate and have names in the reader's language; all others stand as they are. */
const OURS: Record<string, (word: string, code: string, now: number) => string | null> = {
  action: (word) => named('action', word),
  kind: (word) => named('kind', word).toLocaleLowerCase(),
  posture: (word) => named('posture', word).toLocaleLowerCase(),
  from: (word, code) => (code === 'posture' ? named('posture', word).toLocaleLowerCase() : null),
  to: (word, code) => (code === 'posture' ? named('posture', word).toLocaleLowerCase() : null),
  reason: (word) => text(`reason.${word}`, {}),
  hint: (word) => text(`hint.${word}`, {}),
  time: (word, _, now) => moment(word, now),
};

/** A time as records have it, in the reader's zone and in UTC where that is another. */
function moment(word: string, now: number): string | null {
  const at = Date.parse(word);
  if (Number.isNaN(at)) return null;
  const zone = { locale: words.locale };
  const there = universal(at, now, zone);
  return there === '' ? local(at, now, zone) : `${local(at, now, zone)} (${there})`;
}

/** What stands in the gaps of a clause. */
export function gaps({ code, numbers, names }: Clause, now = Date.now()): Values {
  const values: Values = {};
  for (const [name, value] of Object.entries(numbers)) {
    const share = SHARES.includes(name) || (OF_TRIES.includes(code) && (name === 'now' || name === 'usual'));
    const size = code === 'bytes' || BYTES.includes(name);
    values[name] = share ? percent(value) : size ? bytes(value) : name === 'status' ? String(value) : number(value, Math.abs(value) < 10 ? 1 : 0);
  }
  for (const [name, value] of Object.entries(names)) values[name] = ours(name, value, code, now) ?? set(name, value);
  return values;
}

/** Others' words, as they are set. */
function set(name: string, value: string): string {
  // A rule's name is one word: no line ends in it.
  if (name === 'rule') return value.replace('-', '\u2011');
  // Beside words in the reader's language nothing marks what is the client's own: it stands in letters of its own.
  return name === 'value' ? value.replaceAll('`', '') : value;
}

function ours(name: string, value: string, code: string, now: number): string | null {
  return Object.hasOwn(OURS, name) ? (OURS[name]?.(value, code, now) ?? null) : null;
}

const SAYING: Record<Family, (code: string, values: Values) => string | null> = {
  clause: (code, values) => text(`clause.${code}`, values),
  literal: (code, values) => text(`literal.${code}`, values),
  did: (code, values) => text(`did.${code}`, values),
  advise: (code, values) => text(`advise.${code}`, values),
  // Of a rule it is told what was done, too, and on which grounds.
  step: (code, values) => text(`step.${code}`, values) ?? text(`did.${code}`, values) ?? text(`clause.${code}`, values),
};

/** “1 times what is expected” is how nobody says that it is as expected. */
const AS_EXPECTED = [0.8, 1.25] as const;

function spoken({ code, numbers: { times } }: Clause): string {
  return code === 'rate' && times !== undefined && times >= AS_EXPECTED[0] && times <= AS_EXPECTED[1] ? 'rate-usual' : code;
}

/** One after the other; nothing where one of them cannot be said. */
export function say(family: Family, clauses: readonly Clause[], between = ' '): string | null {
  if (clauses.length === 0) return null;
  const said = clauses.map((clause) => SAYING[family](spoken(clause), gaps(clause)));
  return said.every((one) => one !== null) ? said.join(between) : null;
}

/** A part of a sentence; what is quoted was written by somebody else, or is a name. */
export interface Piece {
  text: string;
  quoted: boolean;
}

/** The same in pieces, so that what visitors wrote is seen to be theirs, and cannot pass for our sentence. */
export function pieces(family: Family, clauses: readonly Clause[], now = Date.now()): Piece[] | null {
  if (clauses.length === 0) return null;
  const all: Piece[] = [];
  for (const clause of clauses) {
    // Without values a sentence keeps its gaps.
    const sentence = SAYING[family](spoken(clause), {});
    if (sentence === null) return null;
    const values = gaps(clause, now);
    if (all.length > 0) all.push({ text: ' ', quoted: false });
    // What stands between backticks is typed as it is, a gap in it included.
    let typed = false;
    const put = (words: string) =>
      words.split('`').forEach((piece, nth) => {
        if (nth > 0) typed = !typed;
        if (piece !== '') all.push({ text: piece, quoted: typed });
      });
    sentence.split(/\{(\w+)\}/).forEach((part, at) => {
      if (at % 2 === 0) return put(part);
      const written = clause.names[part];
      const said = String(values[part] ?? `{${part}}`);
      if (written !== undefined && ours(part, written, clause.code, now) === null) all.push({ text: said, quoted: true });
      else put(said);
    });
  }
  return all;
}
