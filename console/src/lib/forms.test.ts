// What a form makes of what is written, and of what was typed.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import danish from '../messages/da.json';
import english from '../messages/en.json';
import type { DeclaredTable, TableName, WrittenTable, Wrong } from './api';
import { begun, edits, entries, fields, FORMS, given, misfitting, names, place, shown, wrong, type Topic, type Values } from './forms';

/** As the gate says it: a test of the gate's holds this file against its schema. */
const TABLES = JSON.parse(readFileSync(new URL('../../mock/keys.json', import.meta.url), 'utf8')) as DeclaredTable[];

const form = (topic: Topic) => {
  const found = FORMS.find((one) => one.topic === topic);
  if (!found) throw new Error(topic);
  return found;
};
const at = (...way: (string | [string, string])[]): TableName[] => way.map((step) => (typeof step === 'string' ? { table: step, name: null } : { table: step[0], name: step[1] }));
const WRITTEN: WrittenTable[] = [
  { at: at(['platform', 'public']), keys: [{ key: 'hosts', value: ['a.example', 'b.example'] }, { key: 'keep_host', value: false }] },
  { at: at(['platform', 'public'], 'health'), keys: [{ key: 'path', value: '/health' }] },
  { at: at(['platform', 'public'], 'transport'), keys: [{ key: 'retries', value: 2 }] },
  { at: at(['alert', 'duty']), keys: [{ key: 'kind', value: 'slack' }, { key: 'url', value: 'https://hooks.example/***5f3a' }, { key: 'min', value: 'page' }] },
  { at: at('organisation', ['contact', 'Ada']), keys: [{ key: 'email', value: 'ada@example.net' }] },
];

/** The changes that somebody makes who types these things into a form. */
function typed(topic: Topic, name: string | null, what: Values, adding = false) {
  const where = place(form(topic), name);
  const list = fields(form(topic), TABLES);
  const before = adding ? {} : begun(list, where, WRITTEN);
  const blank = Object.fromEntries(list.map((field) => [field.id, field.declared.secret ? '' : (before[field.id] ?? '')]));
  return edits(list, where, before, { ...blank, ...what }, adding);
}

describe('every field', () => {
  const all = FORMS.flatMap((one) => one.entries.map(({ id }) => [one, id] as const));
  test.each(all)('$0.topic $1 is a key that the gate has, with a name and a help in both languages', (one, id) => {
    expect(fields(one, TABLES).map((field) => field.id)).toContain(id);
    const key = `${one.path.join('.')}.${id}`;
    for (const messages of [english, danish] as Record<string, string>[]) expect([messages[`field.${key}`], messages[`help.${key}`]]).not.toContain(undefined);
  });
  test('with a choice has a name for each word', () => {
    const words = FORMS.flatMap((one) => fields(one, TABLES)).flatMap(({ declared }) => declared.choices);
    for (const messages of [english, danish] as Record<string, string>[]) expect(words.filter((word) => !messages[`pick.${word}`] && !messages[`approval.${word}`])).toEqual([]);
  });
});

test('a gate that lacks a key has no field for it', () => {
  expect(fields(form('platform'), TABLES.filter(({ path }) => path === 'platform')).map(({ id }) => id)).toEqual(['hosts', 'upstreams', 'keep_host', 'session_cookie']);
});

test('tables are found by their names, and what is in them', () => {
  expect([names(form('platform'), WRITTEN), names(form('contact'), WRITTEN), names(form('organisation'), WRITTEN)]).toEqual([['public'], ['Ada'], []]);
  const values = begun(fields(form('platform'), TABLES), place(form('platform'), 'public'), WRITTEN);
  expect(values).toMatchObject({ hosts: 'a.example\nb.example', keep_host: 'false', 'health.path': '/health', 'transport.retries': '2', upstreams: '' });
});

describe('what was typed becomes', () => {
  const duty = at(['alert', 'duty']);
  const [platform, health, transport] = [at(['platform', 'public']), at(['platform', 'public'], 'health'), at(['platform', 'public'], 'transport')];
  test.each([
    ['nothing where nothing was', 'platform', 'public', {}, []],
    ['nothing where only spaces were', 'platform', 'public', { 'health.path': ' /health ' }, []],
    ['a list', 'platform', 'public', { hosts: ' a.example \n\nc.example' }, [{ at: platform, act: 'set', key: 'hosts', value: ['a.example', 'c.example'] }]],
    ['an empty list where one must be', 'platform', 'public', { hosts: ' ' }, [{ at: platform, act: 'set', key: 'hosts', value: [] }]],
    ['a flag', 'platform', 'public', { keep_host: 'true' }, [{ at: platform, act: 'set', key: 'keep_host', value: true }]],
    ['what is usual', 'platform', 'public', { keep_host: '' }, [{ at: platform, act: 'unset', key: 'keep_host' }]],
    ['a number within', 'platform', 'public', { 'transport.retries': '0' }, [{ at: transport, act: 'set', key: 'retries', value: 0 }]],
    ['what is no number, for the gate to say so', 'platform', 'public', { 'transport.retries': 'two' }, [{ at: transport, act: 'set', key: 'retries', value: 'two' }]],
    ['a table less where what it needs is taken out', 'platform', 'public', { 'health.path': '', 'health.interval': '5s' }, [{ at: health, act: 'remove' }]],
    ['nothing of a secret that nobody typed', 'alert', 'duty', { min: 'page' }, []],
    ['another secret', 'alert', 'duty', { url: 'https://hooks.example/T1/new' }, [{ at: duty, act: 'set', key: 'url', value: 'https://hooks.example/T1/new' }]],
  ] as [string, Topic, string, Values, unknown[]][])('%s', (_, topic, name, what, expected) => {
    expect(typed(topic, name, what)).toEqual(expected);
  });
  test('another kind, and what made sense with the old one alone goes', () => {
    const changes = typed('alert', 'duty', { kind: 'email', server: 'mail.example:587', from: 'gate@example.org', to: 'a@example.org\nb@example.org' });
    expect(changes.map(({ act, key, value }) => [act, key, value])).toEqual([
      ['set', 'kind', 'email'], ['unset', 'url', undefined], ['set', 'server', 'mail.example:587'], ['set', 'from', 'gate@example.org'], ['set', 'to', ['a@example.org', 'b@example.org']],
    ]);
  });
  test('a new table, named first', () => {
    expect(typed('contact', 'Bo Holm', { phone: '+45 12 34 56 78' }, true)).toEqual([
      { at: at('organisation', ['contact', 'Bo Holm']), act: 'add' },
      { at: at('organisation', ['contact', 'Bo Holm']), act: 'set', key: 'phone', value: '+45 12 34 56 78' },
    ]);
    expect(typed('alert', 'a', {}, true).map(({ act, key }) => [act, key])).toEqual([['add', undefined]]);
  });
});

test('what is wrong stands at its field, or at the whole', () => {
  const where = at(['platform', 'public']);
  const list = fields(form('platform'), TABLES);
  const changes = typed('platform', 'public', { hosts: '', 'transport.retries': 'two' });
  const misfit = (change: number, key: string, hint = '') => ({ change, key, message: 'it is wrong', hint });
  expect(misfitting(changes, [misfit(0, 'hosts', 'write one'), misfit(1, 'retries')], where, list)).toEqual({ hosts: 'it is wrong: write one.', 'transport.retries': 'it is wrong.' });
  expect(misfitting([{ at: where, act: 'add' }], [misfit(0, '')], where, list)).toEqual({ '+': 'it is wrong.' });
  const problem = (severity: string, table: TableName[], key: string): Wrong => ({ severity, at: table, key, code: '', message: key || 'all', line: 1, column: 1, label: '', hints: [] });
  const all = [problem('error', at(['platform', 'public'], 'health'), 'path'), problem('error', where, 'outcome_header'), problem('error', where, ''), problem('warning', where, 'hosts'), problem('error', at(['platform', 'shop']), 'hosts'), problem('error', [], '')];
  expect(wrong(all, where, list)).toEqual({ 'health.path': 'path.', '': 'outcome_header. all.' });
});

test('values are shown as they are typed', () => {
  expect([shown(undefined), shown(['a', 'b']), shown(true), shown(4), entries(' a \n\n b')]).toEqual(['', 'a\nb', 'true', '4', ['a', 'b']]);
  const count = TABLES.find(({ path }) => path === 'platform.transport')?.keys.find(({ name }) => name === 'retries');
  if (!count) throw new Error('there are no retries');
  expect(['7', '-1', '1e3', '9'.repeat(20)].map((text) => given(count, text))).toEqual([7, -1, '1e3', '9'.repeat(20)]);
});
