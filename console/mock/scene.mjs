// A gate as the API tells of it, for whoever works on the console: three platforms, one of them attacked for a while.
// It decides nothing: it is a picture with a clock. `scene` is `attack`, `calm`, `crowd`, `recovery` or `outage`.

const MINUTE = 60_000;

/** A number that looks like chance and is the same each time. */
function noise(seed) {
  let x = (Math.imul(seed | 0, 0x9e3779b1) ^ 0x85ebca6b) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) >>> 0;
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39) >>> 0;
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}

/** What came and became of it in one second. `hostile` of it fits the attack. */
export function second(at, base, hostile) {
  const s = Math.floor(at / 1000);
  const people = Math.round(base * (0.85 + 0.3 * noise(s)));
  const bad = Math.round(hostile * (0.9 + 0.2 * noise(s + 7)));
  const refused = Math.round(bad * 0.72);
  const challenged = Math.round(bad * 0.27) + Math.round(people * 0.004);
  const delayed = Math.round(people * (hostile > 0 ? 0.06 : 0));
  const failed = noise(s + 3) > 0.995 ? 1 : 0;
  return { requests: people + bad, served: people - failed, delayed, challenged, roomed: Math.round(bad * 0.01), refused, failed };
}

export const PLATFORMS = [
  { name: 'public', base: 210, origins: ['http://10.0.4.11:8080', 'http://10.0.4.12:8080'] },
  { name: 'members', base: 36, origins: ['http://10.0.5.21:8080'] },
  { name: 'donations', base: 12, origins: ['http://10.0.6.31:8080'] },
];

const clause = (code, numbers = {}, names = {}) => ({ code, numbers, names });

export function now(at, scene, undone, pinned, held) {
  const attacked = scene === 'attack';
  const platforms = PLATFORMS.map(({ name, base, origins }, index) => {
    const hit = attacked && name === 'public';
    const crowd = scene === 'crowd' && name === 'public';
    const out = scene === 'outage' && name === 'donations';
    const came = second(at, crowd ? base * 4 : base, hit ? 12_400 : 0);
    const rates = out ? { ...came, served: 0, failed: came.requests } : came;
    const posture = held[name] ?? (hit ? 'attack' : crowd ? 'overload' : scene === 'recovery' && index === 0 ? 'recovery' : attacked && name === 'members' ? 'elevated' : 'normal');
    return {
      name,
      posture,
      since: at - (posture === 'normal' ? 3 * 3_600_000 : 12 * MINUTE + 20_000),
      why: hit ? 'requests 60.1× expected (12613 per second, 210.0 expected), origin queue 55 ms (limit 20); rules explain 97 % of the excess and match 12031 requests per second' : crowd ? 'More than the platform can carry, and nothing that it has in common.' : '',
      causes: hit ? [clause('rate', { actual: 12_613, expected: 210, times: 60.1 }), clause('queue', { ms: 55, limit: 20 }), clause('explained', { share: 0.97, matched: 12_031 })] : crowd ? [clause('rate', { actual: 861, expected: 210, times: 4.1 }), clause('queue', { ms: 140, limit: 20 }), clause('waiting')] : posture === 'recovery' ? [clause('quiet', { seconds: 20 })] : [clause('ordinary')],
      held: held[name] !== undefined,
      reading: hit ? 'attack' : crowd ? 'crowd' : posture === 'elevated' ? 'unknown' : 'calm',
      signs: [
        { name: 'rate', level: hit || crowd ? 'strong' : 'quiet', figures: hit ? '60.1 times the expected' : crowd ? '4.1 times the expected' : 'as expected', clauses: [hit || crowd ? clause('rate', { actual: hit ? 12_613 : 861, expected: 210, times: hit ? 60.1 : 4.1 }) : clause('rate', { actual: base, expected: base, times: 1 })] },
        { name: 'stress', level: hit ? 'weak' : crowd ? 'strong' : 'quiet', figures: hit ? '95 of a hundred in 180 ms, 60 ms usual' : 'as usual', clauses: [clause('queue', { ms: hit ? 55 : crowd ? 140 : 3, limit: 20 })] },
        { name: 'contrast', level: hit ? 'strong' : 'quiet', figures: hit ? 'one pattern explains 97 % of what came beyond' : 'nothing stands out', clauses: [hit ? clause('explained', { share: 0.97, matched: 12_031 }) : clause('no-pattern')] },
        { name: 'protocol', level: 'quiet', figures: '0.1 % of connections break it', clauses: [clause('abuse', { clients: 0.2 })] },
        { name: 'business', level: index === 1 ? 'weak' : 'quiet', figures: index === 1 ? '4.0 % of logins failed, 2.1 % usual' : 'as usual', clauses: [index === 1 ? clause('failures', { now: 0.04, usual: 0.021 }, { path: '/sign-in' }) : clause('business-usual')] },
      ],
      expected: index === 2 ? null : base,
      rates,
      millis: hit ? [48, 181, 402] : [31, 62, 118],
      origins: origins.map((url, which) => ({ url, healthy: !out && !(attacked && which === 1) })),
      measures: measures(name, hit, crowd, undone, pinned),
      people: people(hit, crowd, base),
    };
  });
  return {
    at,
    node: 'gate-1',
    version: '0.1.0',
    generation: 3,
    draining: false,
    connections: attacked ? 4310 : 212,
    platforms,
    events: scene === 'calm' ? [{ name: 'debate', platform: 'public', from: at + 2 * 3_600_000, until: at + 4 * 3_600_000 }] : [],
    incident: scene === 'calm' || scene === 'outage' ? null : { id: '2026-11-23-1', words: 'public went from normal to attack.', since: at - 12 * MINUTE, closed: null, closed_by: null, waves: 2, platforms: ['public'] },
    blind: attacked ? { 'files/members': 'the kernel tells of no changes in this directory', 'database/members': 'the server refuses the connection' } : {},
    watching: 9,
    evidence: true,
    advice: advice(scene, undone),
  };
}

function measures(name, hit, crowd, undone, pinned) {
  const all = [];
  if (hit) {
    all.push(
      {
        id: 'r-81', kind: 'rule', phase: 'enforced', action: 'refuse', share: 99, matched: 8_412_004, undo: true,
        pattern: 'TLS `a1c9` & no token & a query shaped like `q=…`',
        literals: [clause('tls', {}, { value: '`a1c9`' }), clause('no-token'), clause('query', {}, { value: '`q=…`' })],
        grounds: [clause('explains', { share: 0.97 }), clause('tested', { rows: 32_768, hits: 2, share: 0.0002 }), clause('protected', { requests: 0 })],
        why: 'It explains 97 % of what came beyond the ordinary. On an ordinary day it would have hit at most 0.02 % of requests, and nobody who has shown who they are.',
      },
      {
        id: 'r-82', kind: 'rule', phase: 'enforced', action: 'challenge', share: 100, matched: 96_112, undo: true,
        pattern: 'no referer & path `/search`',
        literals: [clause('no-referer'), clause('path', {}, { value: '`/search`' })],
        grounds: [clause('explains', { share: 0.61 }), clause('tested', { rows: 32_768, hits: 81, share: 0.003 }), clause('protected', { requests: 15 })],
        why: 'It explains 61 % of what the first rule left over. On an ordinary day it would have hit at most 0.3 % of requests.',
      },
      { id: 'r-79', kind: 'rule', phase: 'dormant', action: 'challenge', share: 100, matched: 12_001, undo: true, pattern: 'TLS 77f0 & no token', why: 'It explained 92 % of the first wave.' },
    );
  }
  if (hit || crowd) all.push({ id: `admission/${name}`, kind: 'admission', phase: 'on', action: 'wait', share: 100, matched: 40_112, undo: false, pattern: '40 at once; search 8; who is known goes first', why: 'What the platform carried while it answered in time.' });
  if (crowd) all.push({ id: `room/${name}`, kind: 'room', phase: 'on', action: 'room', share: 100, matched: 1_902, undo: false, pattern: 'navigations of strangers', why: 'The queue is longer than 10 s.' });
  return all.map((one) => ({ literals: one.id.startsWith('admission') ? [clause('at-once', { limit: 40 })] : one.id.startsWith('room') ? [clause('strangers')] : [], grounds: [], ...one, pinned: pinned.has(one.id), phase: undone.has(one.id) ? 'undone' : one.phase }));
}

function people(hit, crowd, base) {
  const audience = (name, known, requests, refused, held, delayed, all, touched) => ({ name, known, requests, refused, held, delayed, visitors: [all, touched] });
  const list = [
    audience('history', true, base * 4, 0, hit ? 4 : 0, hit || crowd ? 31 : 0, base, hit ? 3 : crowd ? 21 : 0),
    audience('human', true, base * 3, hit ? 2 : 0, hit ? 9 : 0, hit || crowd ? 44 : 0, Math.round(base * 0.9), hit ? 5 : crowd ? 30 : 0),
    audience('staff', true, 22, 0, 0, 0, 4, 0),
    audience('fresh', false, base * 2, hit ? 14 : 0, hit ? 120 : 0, 12, Math.round(base * 0.8), hit ? 61 : 4),
  ];
  if (hit) list.push(audience('suspect', false, 124_000, 89_300, 33_400, 0, 8_120, 8_120));
  return list;
}

function advice(scene, undone) {
  const one = (kind, about, words, cost, said, price = null) => ({ kind, about, words, cost, said, price });
  if (scene === 'attack') {
    const list = [
      one('origin', 'public', 'See to http://10.0.4.12:8080: it does not answer the gate.', 'Until then the others carry its share.', clause('origin-out', {}, { origins: 'http://10.0.4.12:8080' }), clause('others-carry')),
      one('drill', 'files/members', 'See why files/members does not see: the kernel tells of no changes in this directory', 'Until then nothing can be said of what it watches. A drill harms nothing.', clause('blind', {}, { sensor: 'files/members', why: 'the kernel tells of no changes in this directory' }), clause('unwatched')),
      one('report', '2026-11-23-1', 'Look which clocks of incident 2026-11-23-1 run: some reports are due within a day.', 'It costs visitors nothing.', clause('report', {}, { incident: '2026-11-23-1' }), clause('costs-nobody')),
    ];
    const undo = one('undo', 'r-82', '15 of 1,492 requests of people who are known on public were held in ten seconds. Look at r-82; undo it if they are who it holds.', 'What it holds would come through: 96,112 requests so far. Nothing like it is proposed again for an hour.', clause('hurt-by-rule', { touched: 15, requests: 1492 }, { platform: 'public', rule: 'r-82' }), clause('comes-through', { matched: 96_112 }));
    return undone.has('r-82') ? list : [undo, ...list];
  }
  if (scene === 'crowd') return [one('look', 'public', '51 of 1,470 requests of people who are known on public were held in ten seconds, and by no rule: public carries no more.', 'To hold fewer, the platform needs more room: another server, or fewer costly pages.', clause('hurt-by-room', { touched: 51, requests: 1470 }, { platform: 'public' }), clause('more-room'))];
  if (scene === 'outage') return [one('origin', 'donations', 'See to http://10.0.6.31:8080: it does not answer the gate.', 'Until then nobody is served on donations. No measure of the gate can help.', clause('origin-out', {}, { origins: 'http://10.0.6.31:8080' }), clause('nobody-served', {}, { platform: 'donations' }))];
  if (scene === 'recovery') return [one('nothing', '', 'Nothing. The gate is holding, and takes its measures back by itself as soon as it can.', '', clause('holding'))];
  return [one('nothing', '', 'Nothing. All is calm.', '', clause('calm'))];
}
