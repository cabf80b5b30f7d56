// What the mock gate has on record: rankings, incidents, sensors, what left.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const HOUR = 3_600_000;
const REPORT = JSON.parse(readFileSync(fileURLToPath(new URL('./report.json', import.meta.url)), 'utf8'));

const VALUES = {
  country: ['US', 'BR', 'DE', 'DK', 'SE', ''],
  network: ['203.0.113.0/24', '198.51.100.0/24', '192.0.2.0/24', '2001:db8:4::/56', '203.0.112.0/24', '198.51.101.0/24'],
  address: ['203.0.113.7', '198.51.100.99', '192.0.2.14', '2001:db8:4::a1'],
  platform: ['public', 'members', 'donations'],
  route: ['/search', '/', '/assets/**', '/join', '/donate'],
  class: ['search', 'page', 'asset', 'form', 'payment'],
  audience: ['suspect', 'fresh', 'human', 'history', 'staff'],
  print: ['t13d1516h2_8daaf6152771_b186095e22b6', 't13d1517h2_8daaf6152771_b0da82dd1658', 't13d190900_9dc949149365_97f8aa674fd9'],
  reason: ['rule', 'challenge', 'rate-limit', 'ambiguous-framing'],
  verdict: ['refused', 'challenged', 'served', 'roomed', 'failed'],
  status: ['403', '200', '429', '304', '502'],
};

export function busiest(query) {
  const [by, from, until] = ['by', 'from', 'until'].map((name) => query.get(name));
  const earlier = Number(until) < Date.now() - 60_000;
  const values = (VALUES[by] ?? []).map((value, rank) => ({ value, requests: Math.round((earlier ? 90_000 : 8_400_000) / (rank + 1) ** (earlier ? 0.6 : 1.7)) })).slice(0, Number(query.get('most') ?? 20));
  return { by, from: Number(from), until: Number(until), requests: values.reduce((sum, { requests }) => sum + requests, 0), short: 12, values };
}

export function incidents() {
  const at = Date.now();
  return [
    { id: '2026-11-23-1', words: 'public went from normal to attack.', since: at - 720_000, closed: null, closed_by: null, waves: 2, platforms: ['public'] },
    { id: '2026-11-11-1', words: 'Many logins failed on members.', since: at - 12 * 24 * HOUR, closed: at - 11 * 24 * HOUR, closed_by: 'duty', waves: 1, platforms: ['members'] },
  ];
}

export function report(id) {
  return { ...REPORT, incident: { ...REPORT.incident, id } };
}

export function sensors() {
  const at = Date.now();
  const sight = (sensor, state, why, words, blind_to, findings = 0, latest = []) => ({ sensor, state, why, words, blind_to, seen: 18_204, dropped: 0, findings, latest });
  return [
    sight('pages/public', 'up', '', 'visits 12 pages each minute as a stranger would', 'what is shown to people who are signed in', 1, [{ unix_millis: at - 2 * HOUR, what: 'script-changed', words: '/assets/site.js is not what it was, and no signed manifest names it.', drill: '' }]),
    sight('files/members', 'blind', 'the kernel tells of no changes in this directory', 'sweeps instead, every 10 min', 'what is changed and changed back between two sweeps'),
    sight('database/members', 'down', 'the server refuses the connection', '', 'rows that are changed by who may'),
    sight('names/party.example', 'up', '', 'NS, MX, CAA, DS, SPF, DMARC every 5 min', 'what resolvers elsewhere are told', 0, [{ unix_millis: at - 5 * HOUR, what: 'drill', words: 'A changed record was seen in 2 s.', drill: 'd-20261123-0914-dns' }]),
    sight('probe', 'up', '', 'asks each family of rules every 5 min', 'rules that no probe is written for'),
  ];
}

export function data() {
  return {
    answers: 1_204_332, text_bytes: 88_120_004_112, unread_bytes: { size: 120_004, encrypted: 9_120 }, values: { email: 20_412, phone: 311, postcode: 18_002 },
    records: 20_112, exported: 18_000, canaries: 12, canary_alarms: 1, enumerations: 1,
    alarms: [
      { canary: 'c-ada', platform: 'members', path: '/members/list', client: '203.0.113.7', reference: '5Z7Q0C2M4N8KT', asked: false, unix_millis: Date.now() - HOUR },
    ],
    ledger: { entries: 412, displaced: 0 },
    proposals: [{ platform: 'members', route: '/members/*', records: 60, usual: 18, most: 41, hours: 912 }],
  };
}

export function forms() {
  const at = Date.now();
  const draft = (id, title, hours, missing) => ({ id, title, due: hours === null ? null : at + hours * HOUR, missing: Array.from({ length: missing }, (_, index) => `question ${index + 1}`), markdown: `# ${title}\n\n## What happened?\n\npublic went from normal to attack.\n` });
  return [draft('uk-ico', 'UK ICO: personal data breach', 71, 4), draft('uk-ncsc', 'UK NCSC: incident', null, 1), draft('eu-nis2-early-warning', 'NIS2: early warning', 3.5, 2), draft('dk-virk', 'Denmark: virk.dk', -0.4, 3)];
}

/** Decisions that fit what was asked for, the newest first. */
export function requests(query) {
  const [until, most] = [Number(query.get('until')), Number(query.get('most') ?? 50)];
  const behind = Number(query.get('cursor')?.split('-')[1] ?? 0);
  const kinds = [
    { verdict: 'refused', status: 403, reason: 'rule-refused', detail: 'r-81', audience: 'suspect' },
    { verdict: 'challenged', status: 429, reason: 'challenge', detail: 'r-82', audience: 'fresh' },
    { verdict: 'refused', status: 429, reason: 'rate-limited', detail: 'rate 5/s by address on /search', audience: 'fresh' },
    { verdict: 'served', status: 200, reason: null, detail: null, audience: 'history' },
    { verdict: 'failed', status: 502, reason: 'upstream-connect', detail: 'http://10.0.4.12:8080', audience: 'human' },
  ];
  const wanted = (one) => ['verdict', 'reason', 'status', 'print', 'route', 'platform'].every((name) => !query.get(name) || String(one[name]) === query.get(name)) && (!query.get('client') || one.client.startsWith(query.get('client').split('.').slice(0, 3).join('.'))) && `${one.method} ${one.host}${one.path} ${one.detail} ${one.reference}`.toLowerCase().includes((query.get('text') ?? '').toLowerCase());
  const all = Array.from({ length: 120 }, (_, nth) => {
    const kind = kinds[(nth * 7) % kinds.length];
    const path = ['/search', '/', '/news/2026/budget-agreement', '/members/sign-in'][nth % 4];
    return { at: until - nth * 4_100 - 900, reference: kind.verdict === 'served' ? null : `5Z7Q0C2M4N${String(100 + nth)}`, ...kind, platform: 'public', route: path === '/search' ? '/search' : '/**', client: `${nth % 3 === 0 ? '203.0.113' : '198.51.100'}.${(nth * 37) % 250}`, method: nth % 9 === 0 ? 'POST' : 'GET', host: 'party.example', path, print: nth % 2 ? 't13d1516h2_8daaf6152771_e5627efa2ab1' : null, millis: kind.verdict === 'served' ? 34.2 : 0.4 };
  }).filter(wanted);
  const found = all.slice(behind, behind + most);
  return { found, next: behind + most < all.length ? `a-${behind + most}` : null };
}
