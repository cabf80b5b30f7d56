// What is small and pure: times, words, routes, differences, contrasts, refusals, rankings.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Busiest, Draft, Role } from './api';
import { contrast } from './contrast';
import { fit, form } from './effect';
import { ask, carry, Refusal, refused, whenDismissed } from './http';
import { byClock, paths, type Paper } from './report';
import { place } from './route.svelte';
import { mayAs } from './session.svelte';
import { bySight, type Sight } from './sights';
import { day, local, told, universal } from './when';
import { bytes, country, figures, fill, number, percent, preferred, rate, span, speak } from './words.svelte';

describe('times', () => {
  const at = Date.UTC(2026, 4, 17, 22, 30, 5);
  const danish = { locale: 'da-DK', timeZone: 'Europe/Copenhagen' };
  test('are in the reader’s zone, with the day where it is another', () => {
    expect(local(at, at + 1000, danish)).toBe('00.30.05');
    expect(local(at, at + 86_400_000, danish, false)).toMatch(/^18\. maj.*00\.30$/);
    expect(local(at, at + 400 * 86_400_000, { locale: 'en-GB', timeZone: 'UTC' }, false)).toBe('17 May 2026, 22:30');
  });
  test('name UTC only where that is another time', () => {
    expect(universal(at, at, danish)).toBe('22.30.05 UTC');
    expect(universal(at, at, { locale: 'en-GB', timeZone: 'UTC' })).toBe('');
  });
  test('say the day twice only where it is another in UTC', () => {
    const noon = Date.UTC(2026, 4, 17, 12);
    expect([universal(noon, at + 86_400_000, danish, false), universal(at, at + 86_400_000, danish, false)]).toEqual(['12.00 UTC', '17. maj, 22.30 UTC']);
  });
  test('that the gate wrote out are read back, and other words are not', () => {
    expect([told('2026-05-17 22:30:05 UTC'), told('before it began'), told('2026-05-17')]).toEqual([at, null, null]);
  });
  test('of a day are written as the reader does', () => expect([day('2026-09-01', 'da-DK'), day('2026-09-01', 'en-GB'), day('2026-13-41', 'en-GB'), day('', 'en-GB')]).toEqual(['1. sep. 2026', '1 Sept 2026', '2026-13-41', '']));
});

describe('how long', () => {
  beforeAll(() => vi.stubGlobal('document', { documentElement: { lang: '' } }));
  afterAll(() => speak('en'));
  test.each([
    ['en', ['0 secs', '59 secs', '1 min', '1 hr', '2 hrs 5 mins', '23 hrs 59 mins', '1 day', '2 days 1 hr']],
    ['da', ['0 sek.', '59 sek.', '1 min.', '1 t.', '2 t. 5 min.', '23 t. 59 min.', '1 dag', '2 dage 1 t.']],
  ] as const)('something lasted is said in %s', async (language, expected) => {
    await speak(language);
    const minute = 60_000;
    const lengths = [-5, minute - 1, minute, 60 * minute, 125 * minute, 1440 * minute - 1, 1440 * minute + 59_999, 49 * 60 * minute];
    expect(lengths.map((length) => span(length).replaceAll('\u00a0', ' '))).toEqual(expected);
  });
});

describe('plain numbers are the browser’s', () => {
  beforeAll(() => vi.stubGlobal('document', { documentElement: { lang: '' } }));
  afterAll(() => speak('en'));
  const values = [0, 0.04, 0.05, 0.5, 0.95, 1, 1.5, 2.5, 9.96, 12, 99.95, 999.5, 999.96, 1000, 12_430, 1_250_000, 2 ** 53, -1, -0.04, -1234.56, 1 / 3, 1e-7];
  test.each([['en', 'en-GB'], ['da', 'da-DK']] as const)('in %s', async (language, locale) => {
    await speak(language);
    const theirs = (value: number, options: Intl.NumberFormatOptions) => new Intl.NumberFormat(locale, options).format(value).replace(/^-0$/, '0');
    for (const value of values) {
      for (const digits of [0, 1, 2, 3]) expect(number(value, digits), `${value} to ${digits}`).toBe(theirs(value, { maximumFractionDigits: digits }));
    }
    for (const share of [0, 0.0001, 0.00021, 0.00096, 0.000999, 0.001, 0.0123, 0.125, 0.5, 0.999, 1, 3.5, 12.34]) {
      const tiny = share > 0 && share < 0.001;
      expect(percent(share), `${share}`).toBe(theirs(share, { style: 'percent', ...(tiny ? { maximumSignificantDigits: 1 } : { maximumFractionDigits: 1 }) }));
    }
    for (const count of [0, 1, 2, 11, 21, 101, 1000]) expect(count === 1, `${count}`).toBe(new Intl.PluralRules(locale).select(count) === 'one');
  });
});

describe('words', () => {
  test('have their gaps filled, and a gap without a value stays seen', () => expect(fill('{a} of {b}', { a: 1 })).toBe('1 of {b}'));
  test('are in the language that was chosen, or the first that there is', () => {
    expect([preferred('da', ['en']), preferred(null, ['fr', 'da-DK', 'en']), preferred(null, ['nb-NO']), preferred(null, ['fr']), preferred('xx', ['en-US'])]).toEqual(['da', 'da', 'da', 'en', 'en']);
  });
  test('of figures never say all or nothing unless it is', () => {
    expect([percent(0), percent(0.00001), percent(0.00021), percent(0.5), percent(0.99999), percent(1)]).toEqual(['0%', '0.001%', '0.02%', '50%', '99.9%', '100%']);
    expect([figures('rows to 1e4, limit to 1e2'), figures('x1e4 1e 1e400')]).toEqual(['rows to 10,000, limit to 100', 'x1e4 1e 1e400']);
    expect([rate(0), rate(0.04), rate(9.96), rate(12_430), rate(1_250_000)]).toEqual(['0', '0', '10', '12,430', '1,250,000']);
    expect([bytes(0), bytes(999), bytes(1000), bytes(88_120_004_112)]).toEqual(['0 bytes', '999 bytes', '1 kB', '88.1 GB']);
  });
});

test('addresses name places', () => {
  const of = (path: string, search = '') => {
    const { view, of, query } = place(path, search);
    return [view, of, query.get('explain')];
  };
  expect(of('/')).toEqual(['now', null, null]);
  expect(of('/traffic', '?explain=r-81')).toEqual(['traffic', null, 'r-81']);
  expect(of('/incidents/2026-05-17-1')).toEqual(['incidents', '2026-05-17-1', null]);
  expect(of('/incidents/%E0%A4%A')).toEqual(['incidents', '%E0%A4%A', null]);
  for (const nowhere of ['/nowhere', '/traffic/deep', '/incidents/a/b']) expect(of(nowhere)[0]).toBe('lost');
});

test('each role may what the one before may', () => {
  const may = (role: Role | undefined) => (['viewer', 'operator', 'owner'] as const).map((wanted) => mayAs(role, wanted));
  expect([may(undefined), may('viewer'), may('operator'), may('owner')]).toEqual([[false, false, false], [true, false, false], [true, true, false], [true, true, true]]);
});

test('what a change does is said by a sentence of its kind', () => {
  const of = (kind: string, key: string) => form({ kind, key });
  expect([of('added', ''), of('removed', ''), of('added', 'hosts'), of('removed', 'hosts'), of('changed', 'hosts')]).toEqual(['added', 'removed', 'keyAdded', 'keyRemoved', 'changed']);
});

test('only what is in order and another can be put in force', () => {
  const line = { sign: '+', before: null, after: 1, text: 'x' };
  const checked = (severity: string | null, diff = [line]) => ({ problems: severity ? [{ severity, code: '', message: '', line: 1, column: 1, label: '', hints: [], at: [], key: '' }] : [], digest: '', diff, cut: false, more: 1, less: 0, effect: [], later: [] });
  expect([fit(null), fit(checked(null)), fit(checked('warning')), fit(checked('error')), fit(checked(null, []))]).toEqual([false, true, true, false, false]);
});

describe('what came is held against the time before', () => {
  const busiest = (length: number, values: [string, number][]): Busiest => ({ by: 'network', from: 0, until: length, requests: values.reduce((sum, [, n]) => sum + n, 0), short: 0, values: values.map(([value, requests]) => ({ value, requests })) });
  const before = busiest(100, [['a', 10], ['b', 100], ['c', 400]]);
  const now = busiest(100, [['a', 400], ['b', 110], ['c', 100], ['d', 50], ['e', 3]]);
  test.each([['a', 'more'], ['b', 'same'], ['c', 'less'], ['d', 'new'], ['e', 'unknown']])('%s: %s', (value, kind) => {
    const one = now.values.find((counted) => counted.value === value);
    expect(one && contrast(one, now, before).kind).toBe(kind);
  });
  test('where nothing is on record of it, nothing is said', () => {
    expect(contrast({ value: 'a', requests: 400 }, now, null).kind).toBe('unknown');
    expect(contrast({ value: 'a', requests: 400 }, now, busiest(100, [])).kind).toBe('unknown');
  });
  test('of a full list nobody is called new', () => {
    const full = busiest(100, Array.from({ length: 1000 }, (_, index) => [`n${index}`, 5]));
    expect(contrast({ value: 'a', requests: 400 }, now, full).kind).toBe('unknown');
  });
  test('stretches of other lengths are compared by rate', () => expect(contrast({ value: 'b', requests: 1000 }, busiest(1000, [['b', 1000]]), before).kind).toBe('same'));
});

test('clocks that run come first, then those without, then what is done', () => {
  const draft = (id: string, due: number | null) => ({ id, due }) as Draft;
  const list = byClock([draft('none', null), draft('done', 1), draft('late', 9), draft('soon', 5)], [{ form: 'done' } as Paper]);
  expect(list.map(({ draft: { id } }) => id)).toEqual(['soon', 'late', 'none', 'done']);
  expect(paths([{ what: 'came', counts: [0, 50] }], 50)[0]?.path).toBe('M0.00 98.00L100.00 2.00');
});

test('what does not see comes first', () => {
  const sight = (sensor: string, state: Sight['state'], findings = 0) => ({ sensor, state, findings }) as Sight;
  expect(bySight([sight('a', 'up'), sight('b', 'blind'), sight('c', 'down'), sight('d', 'up', 3)]).map(({ sensor }) => sensor)).toEqual(['c', 'b', 'd', 'a']);
});

describe('the gate', () => {
  const answers = (status: number, body: string, headers: Record<string, string> = {}) => vi.fn(() => Promise.resolve(new Response(body, { status, headers })));

  test('says why it refuses, whatever stands in its way', async () => {
    const of = async (status: number, body: string, headers = {}) => {
      const { title, detail, wait } = await refused(new Response(body, { status, headers }));
      return [title, detail, wait];
    };
    expect(await of(428, '{"title":"code wanted","detail":"too"}')).toEqual(['code wanted', 'too', null]);
    expect(await of(429, '{"title":"Too Many Requests"}', { 'Retry-After': '30' })).toEqual(['Too Many Requests', '', 30]);
    expect(await of(502, '<html>bad gateway')).toEqual(['502', '', null]);
  });

  test('is sent the session’s proof with what changes something, and only with that', async () => {
    const fetched = answers(200, '{}');
    vi.stubGlobal('fetch', fetched);
    carry('proof');
    await ask('POST', 'measures/r-1/undo');
    await ask('GET', 'now');
    const sent = (fetched.mock.calls as unknown as [string, RequestInit][]).map(([, { headers }]) => (headers as Record<string, string>)['X-Portcullis-Csrf']);
    expect(sent).toEqual(['proof', undefined]);
  });

  test('that forgot the session is told of, but not by a wrong password', async () => {
    const dismissed = vi.fn();
    whenDismissed(dismissed);
    vi.stubGlobal('fetch', answers(401, '{}'));
    await expect(ask('POST', 'session')).rejects.toBeInstanceOf(Refusal);
    expect(dismissed).not.toHaveBeenCalled();
    await expect(ask('GET', 'now')).rejects.toMatchObject({ status: 401 });
    expect(dismissed).toHaveBeenCalledOnce();
  });

  test('that cannot be reached is no refusal of the gate', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('down')));
    await expect(ask('GET', 'now')).rejects.toMatchObject({ status: 0 });
  });
});

test('countries have the names that the reader knows, and nothing else has', () => {
  expect([country('DK'), country('US'), country(''), country('dk'), country('<b>')]).toEqual(['Denmark', 'United States', '', '', '']);
});
