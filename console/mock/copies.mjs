// Databases with what waits, the register of copies, canaries: as a gate that guards members would have them.

const HOUR = 3_600_000;

export function databases() {
  const at = Date.now();
  const one = (key, role, form, more = {}) => ({ key, mark: `${key.slice(0, 15)}f`, role, client: '10.20.30.0/24', form, facts: [], seen: [], approved: null, further: null, refused: false, first: at - 3 * HOUR, ...more });
  return [
    {
      name: 'members', mode: 'enforce', sessions: 14, statements: 1_402_118, refused: 3, rows: 88_120, total: 4,
      roles: [
        { role: 'website', stage: 'enforce', approved: 41, waiting: 0, refused: 2, mark: null },
        { role: 'newsletter', stage: 'learn', approved: 0, waiting: 2, refused: 0, mark: '7d1e5b0a92c44f10' },
        { role: '*', stage: 'observe', approved: 0, waiting: 0, refused: 0, mark: null },
      ],
      waiting: [
        one('00c0ffee00c0ffee', 'website', 'SELECT email FROM members WHERE id = ? OR ? = ?', { refused: true, facts: ['reads members', 'compares constants'], seen: ['rows to 1e4'] }),
        one('1f00aa00bb00cc00', 'website', 'SELECT id, name FROM members ORDER BY id LIMIT ?', { approved: ['limit to 1e2'], seen: ['limit to 1e5'], further: 'limit to 1e5, where it was to 1e2' }),
        one('2a11111111111111', 'newsletter', 'SELECT email FROM subscribers WHERE branch = ? AND bounced = ?', { facts: ['reads subscribers'], seen: ['rows to 1e3'] }),
        one('3b22222222222222', 'newsletter', 'UPDATE subscribers SET sent = now() WHERE id = ?', { facts: ['writes subscribers'] }),
      ],
    },
  ];
}

export function register() {
  const at = Date.now();
  const path = (name, words, custody, covered, more = {}) => ({ name, words, custody, sensors: custody === 'guarded' ? [name] : [], since: at - 400 * HOUR, covered, gaps: [], drill: null, ...more });
  return [
    { name: 'member-pages', what: 'web', holder: 'The Party', categories: ['basic-identifiers', 'political-opinions'], people: 48_210, since: at - 900 * HOUR, paths: [path('http/members', 'the members’ platform', 'guarded', 1, { drill: { at: at - 2 * HOUR, what: 'canary-http', path: 'http/members', seen: true, words: 'Seen in 41 ms.' } })] },
    {
      name: 'members-database', what: 'database', holder: 'The Party', categories: ['basic-identifiers', 'political-opinions', 'financial'], people: 48_210, since: at - 900 * HOUR,
      paths: [
        path('database/members', 'what applications run', 'guarded', 0.982, { gaps: [{ sensor: 'database/members', cause: 'no heartbeat', from: at - 6 * HOUR, until: at - 5.6 * HOUR }] }),
        path('backup-bucket', 'nightly copies', 'unguarded', null),
        path('replica', 'for figures', 'guarded', 1, { drill: { at: at - 3 * HOUR, what: 'canary-sql', path: 'replica', seen: false, words: 'The canary came back, and nothing told of it.' } }),
      ],
    },
    { name: 'mailing-provider', what: 'processor', holder: 'Mailer Ltd', categories: ['basic-identifiers'], people: null, since: null, paths: [path('mailing-provider', 'their own systems', 'attested', null)] },
  ];
}

export function canaries() {
  const at = Date.now();
  const one = (id, kind, homes, more = {}) => ({ id, kind, domain: kind === 'member' ? 'post.party.example' : '', homes, planted: '2026-09-01', retired: null, seen: 0, last_seen: null, last_path: null, ...more });
  return {
    declared: true,
    canaries: [
      one('c-1', 'member', ['members:/members/me'], { seen: 1, last_seen: at - HOUR, last_path: 'http/members' }),
      one('c-2', 'id', []),
      one('c-3', 'key', ['pg:backup'], { retired: '2026-10-04' }),
    ],
    drills: [
      { at: at - 2 * HOUR, what: 'canary-http', path: 'http/members', seen: true, words: 'Seen in 41 ms.' },
      { at: at - 3 * HOUR, what: 'canary-sql', path: 'replica', seen: false, words: 'The canary came back, and nothing told of it.' },
    ],
  };
}
