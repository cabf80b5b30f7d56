// Forms for the usual changes of the configuration: which keys stand in them, what is written as a form has it, and what was typed as
// changes of the text. What each key takes is the gate's to say.

import type { DeclaredKey, DeclaredTable, Edit, Given, Misfit, TableName, WrittenTable, Wrong } from './api';

export type Topic = 'platform' | 'alert' | 'organisation' | 'contact' | 'status' | 'approvals';

/** How a field is typed where its kind alone does not say it. */
export type Manner = 'email' | 'tel' | 'url' | 'hours' | 'alert';

/** A key that stands in a form. */
interface Entry {
  /** Beneath the form's own table; with dots where it is in one of those within: `health.path`. */
  id: string;
  manner?: Manner;
  /** With which values of others it makes sense. */
  when?: (values: Values) => boolean;
}

export interface Form {
  topic: Topic;
  /** The tables on the way to the one that it is about. */
  path: readonly string[];
  entries: readonly Entry[];
}

/** What was typed, by the field: lists have a line for each entry, and nothing is nothing. */
export type Values = Record<string, string>;

/** A field with what the gate says of its key. */
export interface Field extends Entry {
  declared: DeclaredKey;
}

const mail = ({ kind }: Values) => kind === 'email';
const web = ({ kind }: Values) => kind !== 'email';
const secret = ({ kind }: Values) => kind === 'email' || kind === 'webhook' || kind === 'ntfy';
const chained = ({ next }: Values) => Boolean(next);

export const FORMS: readonly Form[] = [
  {
    topic: 'platform',
    path: ['platform'],
    entries: [
      { id: 'hosts' },
      { id: 'upstreams', manner: 'url' },
      { id: 'keep_host' },
      { id: 'session_cookie' },
      { id: 'transport.first_byte_timeout' },
      { id: 'transport.retries' },
      { id: 'health.path' },
      { id: 'health.interval', when: (values) => Boolean(values['health.path']) },
    ],
  },
  {
    topic: 'alert',
    path: ['alert'],
    entries: [
      { id: 'kind' },
      { id: 'url', manner: 'url', when: web },
      { id: 'server', when: mail },
      { id: 'security', when: mail },
      { id: 'user', when: mail },
      { id: 'secret_file', when: secret },
      { id: 'from', manner: 'email', when: mail },
      { id: 'to', manner: 'email', when: mail },
      { id: 'min' },
      { id: 'quiet', manner: 'hours' },
      { id: 'offset', when: ({ quiet }) => Boolean(quiet) },
      { id: 'next', manner: 'alert' },
      { id: 'after', when: chained },
      { id: 'group' },
    ],
  },
  { topic: 'organisation', path: ['organisation'], entries: [{ id: 'name' }, { id: 'sector' }, { id: 'language' }, { id: 'page', manner: 'url' }] },
  { topic: 'contact', path: ['organisation', 'contact'], entries: [{ id: 'role' }, { id: 'email', manner: 'email' }, { id: 'phone', manner: 'tel' }] },
  { topic: 'status', path: ['status'], entries: [{ id: 'directory' }, { id: 'hook' }] },
  { topic: 'approvals', path: ['console'], entries: [{ id: 'approvals' }] },
];

/** Those that may come several times. */
export const SEVERAL: readonly Topic[] = ['platform', 'alert', 'contact'];

/** The place of a form's table, by its name where there are several. */
export function place(form: Form, name: string | null): TableName[] {
  return form.path.map((table, index) => ({ table, name: index === form.path.length - 1 ? name : null }));
}

/** The fields of a form, with what the gate says of each. One that this gate does not have is left out. */
export function fields(form: Form, tables: readonly DeclaredTable[]): Field[] {
  return form.entries.flatMap((entry) => {
    const { within, key } = parts(entry.id);
    const table = tables.find(({ path }) => path === [...form.path, ...within].join('.'));
    const declared = table?.keys.find(({ name }) => name === key);
    return declared ? [{ ...entry, declared }] : [];
  });
}

/** Names of the tables that there are of a form's kind, in the order of the text. */
export function names(form: Form, written: readonly WrittenTable[]): string[] {
  const own = written.filter(({ at }) => at.length === form.path.length && at.every(({ table }, index) => table === form.path[index]));
  return own.flatMap(({ at }) => at.at(-1)?.name ?? []);
}

/** What is written, as a form has it. */
export function begun(list: readonly Field[], at: readonly TableName[], written: readonly WrittenTable[]): Values {
  return Object.fromEntries(list.map(({ id }) => [id, shown(found(id, at, written))]));
}

function found(id: string, at: readonly TableName[], written: readonly WrittenTable[]): Given | undefined {
  const { within, key } = parts(id);
  const wanted = [...at, ...within.map((table) => ({ table, name: null }))];
  return written.find((table) => same(table.at, wanted))?.keys.find((one) => one.key === key)?.value;
}

/** The changes that make of what was written what was typed. A field that makes no sense any more is not said. */
export function edits(list: readonly Field[], at: TableName[], before: Values, after: Values, adding: boolean): Edit[] {
  const asked = (field: Field) => !field.when || field.when(after);
  const typed = (field: Field) => (asked(field) ? (after[field.id] ?? '').trim() : '');
  // A secret is not shown, so nothing typed is nothing changed, but where there is no place for it any more.
  const is = (field: Field) => (field.declared.secret && asked(field) && typed(field) === '' ? (before[field.id] ?? '') : typed(field));
  const gone = new Set(list.filter((field) => within(field.id) && field.declared.must && before[field.id] && is(field) === '').map(({ id }) => within(id)));
  const changes: Edit[] = adding ? [{ at, act: 'add' }] : [];
  gone.forEach((table) => changes.push({ at: [...at, ...inside(table)], act: 'remove' }));
  for (const field of list) {
    const { key } = parts(field.id);
    const where = [...at, ...inside(within(field.id))];
    if (gone.has(within(field.id)) || is(field) === (before[field.id] ?? '')) continue;
    // Whatever must be said is set even to nothing: the gate says what is wrong with that.
    if (is(field) === '' && !field.declared.must) changes.push({ at: where, act: 'unset', key });
    else changes.push({ at: where, act: 'set', key, value: given(field.declared, is(field)) });
  }
  return changes;
}

/** What was typed, as the text has it. What is no number stays as it is: the gate says what is wrong with it. */
export function given(declared: DeclaredKey, text: string): Given {
  const one = (words: string) => (declared.kind === 'count' && /^-?\d{1,15}$/.test(words) ? Number(words) : words);
  if (!declared.list) return declared.kind === 'flag' ? text === 'true' : one(text);
  return entries(text).map(one);
}

/** The entries of a list that was typed line by line. */
export function entries(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter(Boolean);
}

export function shown(given: Given | undefined): string {
  return given === undefined ? '' : Array.isArray(given) ? given.join('\n') : String(given);
}

/** What is wrong, by the field; what is about the whole table, or about a key that has no field, under nothing; about its name, under `+`. */
export function misfitting(changes: readonly Edit[], misfits: readonly Misfit[], at: readonly TableName[], list: readonly Field[]): Record<string, string> {
  return gathered(misfits.map(({ change, key, message, hint }) => ({ at: changes[change]?.at ?? at, key: changes[change]?.act === 'add' ? '+' : key, words: sentence(message, hint) })), at, list);
}

/** The same for what is wrong with what comes of it all. Nothing is told of other tables here. */
export function wrong(problems: readonly Wrong[], at: readonly TableName[], list: readonly Field[]): Record<string, string> {
  const own = problems.filter((one) => one.severity === 'error' && one.at.length >= at.length && same(one.at.slice(0, at.length), at));
  return gathered(own.map((one) => ({ at: one.at, key: one.key, words: sentence(one.message, one.hints.join('. ')) })), at, list);
}

function gathered(all: { at: readonly TableName[]; key: string; words: string }[], at: readonly TableName[], list: readonly Field[]): Record<string, string> {
  const told: Record<string, string> = {};
  for (const one of all) {
    const id = [...one.at.slice(at.length).map(({ table }) => table), one.key].join('.');
    const field = id === '+' || list.some((field) => field.id === id) ? id : '';
    told[field] = told[field] ? `${told[field]} ${one.words}` : one.words;
  }
  return told;
}

function sentence(message: string, hint: string): string {
  return hint ? `${message}: ${hint}.` : `${message}.`;
}

function parts(id: string): { within: string[]; key: string } {
  const all = id.split('.');
  return { within: all.slice(0, -1), key: all.at(-1) ?? '' };
}

function within(id: string): string {
  return parts(id).within.join('.');
}

function inside(tables: string): TableName[] {
  return tables ? tables.split('.').map((table) => ({ table, name: null })) : [];
}

function same(one: readonly TableName[], other: readonly TableName[]): boolean {
  return one.length === other.length && one.every(({ table, name }, index) => table === other[index]?.table && (name ?? null) === (other[index]?.name ?? null));
}
