// What the gate says as values becomes a sentence in the reader's language. Where a message is missing, the gate's words stand.

import type { Clause } from './api';
import { bytes, named, number, percent, text, type Values } from './words.svelte';

/** Which family of messages: causes and grounds, parts of a pattern, what happened, advice. */
export type Family = 'clause' | 'literal' | 'did' | 'advise';

/** Figures that are shares of one, beside those that are called so. */
const SHARES = ['share', 'explains'];
/** Clauses in which what is now and what is usual are shares. */
const OF_TRIES = ['failures', 'missing'];

/** What stands in the gaps of a clause. */
export function gaps({ code, numbers, names }: Clause): Values {
  const values: Values = {};
  for (const [name, value] of Object.entries(numbers)) {
    const share = SHARES.includes(name) || (OF_TRIES.includes(code) && (name === 'now' || name === 'usual'));
    values[name] = share ? percent(value) : code === 'bytes' ? bytes(value) : number(value, Math.abs(value) < 10 ? 1 : 0);
  }
  for (const [name, value] of Object.entries(names)) {
    // A rule's name is one word: no line ends in it.
    if (name === 'rule') values[name] = value.replace('-', '\u2011');
    else values[name] = name === 'action' ? named('action', value) : name === 'posture' || ((name === 'from' || name === 'to') && code === 'posture') ? named('posture', value).toLocaleLowerCase() : value;
  }
  return values;
}

const SAYING: Record<Family, (code: string, values: Values) => string | null> = {
  clause: (code, values) => text(`clause.${code}`, values),
  literal: (code, values) => text(`literal.${code}`, values),
  did: (code, values) => text(`did.${code}`, values),
  advise: (code, values) => text(`advise.${code}`, values),
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
