import { expect, test } from 'vitest';
import type { GuardedDatabase, RegisteredCopy, RegisteredPath, WaitingStatement } from './api';
import { byNeed, standing, waitingOf, ways, why, type Standing } from './copies';

const path = (more: Partial<RegisteredPath>): RegisteredPath => ({ name: 'http/public', words: '', custody: 'guarded', sensors: ['http/public'], since: 1, covered: 1, gaps: [], drill: null, ...more });
const drill = (seen: boolean) => ({ at: 1, what: 'canary-http', path: 'http/public', seen, words: '' });

test.each<[Partial<RegisteredPath>, Standing]>([
  [{}, 'whole'],
  [{ covered: 0.9995 }, 'whole'],
  [{ covered: 0.99 }, 'gaps'],
  [{ covered: 0 }, 'gaps'],
  [{ covered: null }, 'unknown'],
  [{ drill: drill(true) }, 'whole'],
  [{ drill: drill(false) }, 'missed'],
  [{ custody: 'attested', covered: null }, 'attested'],
  [{ custody: 'unguarded', covered: null, drill: drill(true) }, 'unguarded'],
])('a way that is %o stands as %s', (more, expected) => expect(standing(path(more))).toBe(expected));

test('the worst way comes first', () => {
  const copy = (name: string, ...paths: RegisteredPath[]): RegisteredCopy => ({ name, what: 'web', holder: '', categories: [], people: null, since: null, paths });
  const all = ways([copy('b', path({}), path({ custody: 'unguarded' })), copy('a', path({}), path({ drill: drill(false) }))]);
  expect(all.map(({ copy: { name }, standing: how }) => `${name} ${how}`)).toEqual(['a missed', 'b unguarded', 'a whole', 'b whole']);
});

test('what was refused waits before what was learned', () => {
  const one = (key: string, first: number, more: Partial<WaitingStatement>): WaitingStatement => ({ key, mark: null, role: 'app', client: '*', form: '', facts: [], seen: [], approved: null, further: null, refused: false, first, ...more });
  const all = [one('learned', 9, {}), one('old', 1, { refused: true }), one('further', 5, { approved: [], further: 'rows' }), one('new', 2, { refused: true })];
  expect(byNeed(all).map(({ key }) => key)).toEqual(['new', 'old', 'further', 'learned']);
  expect(all.map(why)).toEqual(['learned', 'refused', 'further', 'refused']);
});

test('all that wait are counted, also those that are not listed', () => {
  const database = (total: number): GuardedDatabase => ({ name: 'db', mode: 'enforce', sessions: 0, statements: 0, refused: 0, rows: 0, roles: [], waiting: [], total });
  expect(waitingOf([database(3), database(600)])).toBe(603);
});
