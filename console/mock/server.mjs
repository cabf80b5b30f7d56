// Answers as a gate's console would, and serves dist/ under its content security policy. For developers and screenshots;
// it never ships. Names sign in with any password: `viewer`, `operator`, `owner`.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { PLATFORMS, now, second } from './scene.mjs';
import { SCENARIOS, played, rehearsed } from './rehearsals.mjs';
import { found, releases, tried } from './rules.mjs';
import { busiest, data, forms, incidents, report, requests, sensors } from './books.mjs';
import { canaries, databases, register } from './copies.mjs';
import { drafted, KEYS } from './forms.mjs';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const KINDS = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.webmanifest': 'application/manifest+json' };

/** Starts it. `scene` and `silent` (no stream, no answer) can be changed while it runs. */
export function start({ port = 4180, scene = 'attack' } = {}) {
  const world = {
    scene,
    silent: false,
    fresh: false,
    who: new Map(),
    undone: new Set(),
    pinned: new Set(),
    held: {},
    totp: new Set(),
    passkeys: [],
    streams: new Set(),
    text: CONFIGURATION,
    versions: VERSIONS(),
    id: Date.now() * 1000,
    acts: [],
    approvals: [],
    proposals: [],
  };
  const server = createServer((request, response) => void answer(world, request, response).catch((error) => problem(response, 500, 'mock', String(error))));
  const beat = setInterval(() => world.streams.forEach((stream) => send(world, stream, 'now', state(world))), 1000);
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve({ world, port: server.address().port, stop: () => (clearInterval(beat), server.closeAllConnections(), server.close()) })));
}

function state(world) {
  return now(Math.floor(Date.now() / 1000) * 1000, world.scene, world.undone, world.pinned, world.held);
}

function send(world, stream, kind, value, id = (world.id += 1)) {
  if (!world.silent) stream.write(`id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify(value)}\n\n`);
}

function tell(world, words, by = 'gate', platform = 'public', kind = 'act') {
  const happening = { at: Date.now(), kind, platform, by, words, said: null };
  const id = (world.id += 1);
  world.acts.push({ id, happening });
  world.streams.forEach((stream) => send(world, stream, 'happening', happening, id));
}

async function answer(world, request, response) {
  const url = new URL(request.url, 'http://mock');
  if (world.silent && url.pathname.startsWith('/api/')) return void request.socket.destroy();
  if (!url.pathname.startsWith('/api/v1/')) return page(url.pathname, request.headers['accept-encoding'] ?? '', response);
  const path = url.pathname.slice('/api/v1/'.length);
  const body = request.method === 'GET' ? {} : await sent(request);
  const cookie = /portcullis=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
  const person = world.who.get(cookie) ?? null;
  const session = (who) => ({ person: who, csrf: who ? 'proof' : null, fresh: world.fresh && !who, ways: ['password', 'passkey', 'oidc'], provider: 'Folk', organisation: who ? 'The Party' : '' });
  const enter = (name) => {
    const who = { name, role: ['viewer', 'operator'].includes(name) ? name : 'owner', totp: world.totp.has(name), passkeys: 0, seen: Date.now(), federated: false };
    world.who.set(name, who);
    response.setHeader('Set-Cookie', `portcullis=${name}; Path=/; HttpOnly; SameSite=Strict`);
    return json(response, session(who));
  };
  const key = `${request.method} ${path}`;
  if (key === 'GET session') return json(response, { ...session(person), ...(person && url.searchParams.has('now') && { now: state(world) }) });
  if (key === 'POST session') {
    if (body.name === 'locked') return problem(response, 429, 'Too Many Requests', 'too many tries: wait 30 seconds', { 'Retry-After': '30' });
    if (!/^\w+$/.test(body.name) || body.password === 'wrong') return problem(response, 401, 'Unauthorized', 'name, password or code is wrong');
    if (body.name === 'second' && body.code !== '123456') return problem(response, 428, 'code wanted', 'the code of the second factor is wanted, too');
    return enter(body.name);
  }
  if (key === 'POST session/passkey') return json(response, { challenge: CHALLENGE, timeout: 60_000, userVerification: 'required' });
  if (key === 'PUT session/passkey') return world.passkeys.some(({ id }) => id === body.id) ? enter('owner') : problem(response, 401, 'Unauthorized', 'there is no such passkey');
  if (key === 'POST session/oidc') return json(response, { url: '/oidc?state=mock&code=operator' });
  if (key === 'PUT session/oidc') {
    if (body.error) return problem(response, 401, 'Unauthorized', `Folk said no: ${body.error}`);
    return body.code === 'stranger' ? problem(response, 403, 'Forbidden', 'Folk knows you, and nothing in `groups` gives you a role here: ask an owner of this console') : enter(body.code || 'viewer');
  }
  if (key === 'POST welcome') return body.link === 'used' ? problem(response, 404, 'Not Found', 'the link was used, or is too old: ask for another') : enter(body.name || 'owner');
  if (key === 'DELETE session') return (response.setHeader('Set-Cookie', 'portcullis=; Path=/; Max-Age=0'), json(response, { words: 'You are signed out.' }));
  if (!person) return problem(response, 401, 'Unauthorized', 'sign in first');
  if (request.method !== 'GET' && request.headers['x-portcullis-csrf'] !== 'proof') return problem(response, 403, 'Forbidden', 'x-portcullis-csrf is missing');
  if (request.method !== 'GET' && person.role === 'viewer' && !path.startsWith('session') && !['configuration/check', 'configuration/draft'].includes(path)) return problem(response, 403, 'Forbidden', 'viewer may not do this: it takes an operator');
  if (path.startsWith('proposals')) return proposals(world, key, path, person, response);
  const proposed = request.method === 'GET' ? null : twoFold(world, path);
  if (proposed) return propose(world, proposed, person, response);
  return inside(world, key, path, url.searchParams, body, person, response, request);
}

/** What another person proposed a moment ago. */
export function waiting() {
  const at = Date.now();
  return [
    { id: 'p-posture', act: 'posture', words: 'hold public in overload', by: 'duty', person: 'duty', least: 'operator', made: at - 200_000, until: at + 700_000, diff: [] },
    { id: 'p-reload', act: 'reload', words: 'change the configuration: 1 lines more, 1 less; a second server', by: 'owner', person: 'owner', least: 'owner', made: at - 20_000, until: at + 880_000, diff: [{ sign: '-', before: 11, after: null, text: 'upstreams = ["http://10.0.4.11:8080"]' }, { sign: '+', before: null, after: 11, text: 'upstreams = ["http://10.0.4.11:8080", "http://10.0.4.12:8080"]' }] },
  ];
}

/** The kind of an act that takes two people in this world, with its words. */
function twoFold(world, path) {
  const [first, id, last] = path.split('/').map(decodeURIComponent);
  const kinds = { undo: first === 'measures' && last === 'undo' && `take ${id} back`, posture: first === 'platforms' && `hold ${id}` };
  const kind = world.approvals.find((one) => kinds[one]);
  return kind ? { act: kind, words: kinds[kind] } : null;
}

/** A refused request, or what was done about a rule. */
function explained(of) {
  const clause = (code, names = {}, numbers = {}) => ({ code, names, numbers });
  const step = (part, words, ...said) => ({ part, words, said });
  const minute = new Date(Date.now() - 90_000).toISOString();
  const steps = of.startsWith('r-')
    ? [
        step('act', `${minute}  public\n  Rule ${of} is enforced: what it matches is refused with status 429.`, clause('act-gate', { time: minute, platform: 'public' }), clause('rule-enforced', { rule: of, action: 'refuse' }), clause('pattern', { pattern: 'TLS `t13d1516h2_8daaf6152771_e5627efa2ab1` & no token' }), clause('explains', {}, { share: 0.97 }), clause('tested', {}, { rows: 32_768, hits: 2, share: 0.0002 })),
        step('act', `${minute}  public, by owner\n  An operator pinned rule ${of}.`, clause('act-person', { time: minute, platform: 'public', who: 'owner' }), clause('rule-pinned', { rule: of })),
      ]
    : [
        step('reference', of, clause('reference', { value: of })),
        step('outcome', 'GET …', clause('request-refused', { asked: 'GET party.example/search/<b>medlemmer</b>/{status}' }, { status: 403 }), clause('moved', {}, { came: 1_204, went: 5_310 })),
        step('reason', 'attack-detected: …', clause('why', { code: 'attack-detected', reason: 'attack-detected' }), clause('detail', { value: 'sql in ARGS_GET:q, 8 points of 5' })),
        step('hint', '`portcullis explain` …', clause('hint', { hint: 'attack-detected' })),
        step('listener', 'It came to listener https of node gate-1.', clause('listener', { listener: 'https', node: 'gate-1' }), clause('version', { value: '2' }), clause('tls', { value: '1.3' })),
        step('visitor', 'It came from 203.0.113.7, …', clause('client-forwarded', { client: '203.0.113.7', peer: '10.0.0.2:4711' }), clause('ja4', { value: 't13d1516h2_8daaf6152771_e5627efa2ab1' })),
        step('trust', 'fresh: nobody had seen it before.', clause('trust-fresh')),
        step('route', 'It was for platform public.', clause('platform', { value: 'public' }), clause('route', { value: '/search' }), clause('class', { value: 'search' })),
        step('posture', 'The platform was in attack …', clause('posture', { posture: 'attack', time: minute })),
        step('measures', 'r-81 (rule, refuse).', clause('in-force', { id: 'r-81', kind: 'rule', action: 'refuse' }), clause('in-force', { id: 'admission/public', kind: 'admission', action: 'wait' })),
        step('observed', 'denied-address: …', clause('why', { code: 'denied-address', reason: 'denied-address' }), clause('detail', { value: 'list scanners' }), clause('only-observed')),
        step('found', 'Detection of family sql …', clause('found-family', { family: 'sql', where: 'ARGS_GET:q', why: 'what follows a quote would be a part of a statement' }), clause('score', {}, { score: 8 }), clause('matched-after', { part: "' or 1=1 --", via: 'urlDecodeUni' })),
        step('exclusion', '"sql ARGS_GET:q" on public/search', clause('exclusion', { exclusions: '"sql ARGS_GET:q"', platform: 'public', route: '/search' }), clause('tried', {}, { n: 1 })),
        step('when', minute, clause('when', { time: minute }), clause('took', {}, { ms: 0.4 })),
      ];
  return { of, words: steps.map(({ part, words }) => `${part.padEnd(11)}${words}`).join('\n'), steps };
}

function propose(world, { act, words, diff = [] }, person, response) {
  const proposal = { id: `p-${(world.id += 1)}`, act, words, by: person.name, person: person.name, least: 'operator', made: Date.now(), until: Date.now() + 900_000, diff };
  world.proposals.push(proposal);
  tell(world, `${person.name} proposed: ${words}`, person.name, null, 'proposal');
  return json(response, proposal, 202);
}

function proposals(world, key, path, person, response) {
  if (key === 'GET proposals') return json(response, world.proposals);
  const [, id, how] = path.split('/');
  const found = world.proposals.find((one) => one.id === id);
  if (!found) return problem(response, 404, 'Not Found', 'there is no such proposal, or it is answered or forgotten');
  if (how === 'approve' && found.person === person.name) return problem(response, 403, 'Forbidden', 'it takes another person than who proposed it, and one who is signed in');
  world.proposals = world.proposals.filter((one) => one !== found);
  tell(world, `${person.name} ${how === 'approve' ? 'approved' : 'refused'} what ${found.by} proposed: ${found.words}`, person.name, null, 'proposal');
  return json(response, { words: how === 'approve' ? `Done: ${found.words}.` : `It is not done: ${found.words}.` });
}

function inside(world, key, path, query, body, person, response, request) {
  const done = (words) => (tell(world, words, person.name), json(response, { words }));
  const [first, id = '', last = ''] = path.split('/').map(decodeURIComponent);
  const verb = request.method;
  if (key === 'GET now') return json(response, state(world));
  if (key === 'GET live') return live(world, query, response, request);
  if (key === 'GET history') return json(response, history(world, query));
  if (key === 'GET busiest' && query.get('by') === 'country' && world.scene === 'calm') return problem(response, 409, 'Conflict', 'no file says which country an address is in: declare `file` in `[geography]`');
  if (key === 'GET busiest') return json(response, busiest(query));
  if (key === 'GET requests') return json(response, requests(query));
  if (first === 'explain') return id === 'unknown' ? problem(response, 404, 'Not Found', 'nothing on record has that name') : json(response, explained(id));
  if (first === 'alerts' && last === 'test') return done(`A test is on its way to ${id}.`);
  if (first === 'measures' && last === 'undo') return (world.undone.add(id), done(`${id} was undone: nothing like it is proposed for an hour.`));
  if (first === 'measures' && last === 'pin') return (world.pinned.add(id), done(`${id} stays in force until somebody undoes it.`));
  if (first === 'platforms') {
    if (body.posture === 'auto') delete world.held[id];
    else world.held[id] = body.posture;
    return done(body.posture === 'auto' ? `The gate decides again on ${id}.` : `${id} is held in ${body.posture}.`);
  }
  if (first === 'events') return done(verb === 'POST' ? `${body.name} is announced.` : `${id} is cancelled.`);
  if (key === 'GET incidents') return json(response, incidents());
  if (first === 'incidents' && verb === 'GET' && last === '') return id.startsWith('2026') ? json(response, report(id)) : problem(response, 404, 'Not Found', `there is no incident ${id}`);
  if (path === 'incidents') return done('Incident 2026-11-23-2 is open.');
  if (key === 'GET databases') return json(response, databases());
  if (first === 'databases') return done(last === 'approve' ? `${id}: approved ${body.key ? `statement ${body.key}` : '2 statements'} of role ${body.role}, in members.book` : `${id}: role ${body.role}: learn -> ${body.stage}, in members.book`);
  if (key === 'GET data/register') return json(response, register());
  if (key === 'GET data/canaries') return json(response, canaries());
  if (key === 'POST data/budgets') return done('Policy 5 is in force.');
  if (first === 'incidents' && last === 'forms') return json(response, forms());
  if (first === 'incidents' && verb === 'POST') return done(last === 'close' ? `Incident ${id} is closed.` : 'It is on record.');
  if (key === 'GET demo') return json(response, world.scene === 'calm' ? [{ name: 'botnet', about: 'One request from each address, a new one each time, with the agents of many browsers.' }] : []);
  if (first === 'demo') return done(`${id} is being played.`);
  if (key === 'GET integrity') return json(response, sensors());
  if (key === 'POST drills') return done('9 of 9 were seen.');
  if (key === 'GET data') return json(response, data());
  if (first === 'configuration') return configuration(world, key, path, body, person, response);
  if (key === 'POST reload') return done('Policy 4 is in force.');
  if (first === 'rules') return rules(world, key, query, body, person, response);
  if (first === 'scenarios' || first === 'rehearsals') return rehearsals(world, verb, first, id, body, person, response);
  if (path === 'session/totp') return factor(world, key, body, person, response);
  if (first === 'session') return own(world, key, path, body, person, response);
  return people(key, first, id, body, person, response);
}

/** What a console knows of a file: its text, a word that stands for it, what it was, and what another text would change. */
function configuration(world, key, path, body, person, response) {
  const owner = person.role === 'owner';
  const [, , id = '', last = ''] = path.split('/');
  const digest = (text) => `${text.length}`.padStart(64, '0');
  if (key === 'GET configuration') return json(response, { text: owner ? world.text : world.text.replace(/T0\/\w+/, '***5f3a'), digest: digest(world.text), masked: !owner });
  if (key === 'POST configuration/check') return json(response, weighed(world.text, body.text, digest(world.text)));
  if (key === 'GET configuration/keys') return json(response, KEYS);
  if (key === 'POST configuration/draft') return json(response, drafted(body.text ?? world.text, body.changes));
  if (key === 'GET configuration/versions') return json(response, world.versions.map(({ text, ...version }) => version));
  if (!owner) return problem(response, 403, 'Forbidden', 'this takes an owner');
  const version = world.versions.find((one) => one.id === id);
  if (key.startsWith('GET')) return version ? json(response, { text: version.text }) : problem(response, 404, 'Not Found', 'there is no such earlier configuration');
  const text = last === 'restore' ? version.text : body.text;
  if (body.base !== digest(world.text)) return problem(response, 412, 'Precondition Failed', 'the configuration was changed meanwhile: look at it again');
  const { more, less } = weighed(world.text, text, '');
  world.versions.unshift({ id: String(Date.now()), at: Date.now(), by: person.name, why: body.why ?? '', more, less, digest: digest(world.text), text: world.text });
  world.text = text;
  tell(world, 'The configuration was changed.', person.name, null);
  return json(response, { words: 'policy 4 is in force' });
}

function weighed(before, after, digest) {
  const [old, fresh] = [before.split('\n'), after.split('\n')];
  const error = (code, message, index, hints, at = [], key = '') => ({ severity: 'error', code, message, line: index + 1, column: 1, label: 'in `[server]`', hints, at, key });
  const problems = fresh.flatMap((text, index) => (text.startsWith('bogus') ? [error('unknown-key', '`bogus` is no key of `[server]`', index, ['did you mean `workers`?'])] : []));
  const tables = drafted(after, []).tables;
  for (const { at, keys } of tables.filter((table) => table.at[0].table === 'alert')) {
    const value = (name) => keys.find(({ key }) => key === name)?.value;
    const needs = value('kind') === 'email' ? ['server', 'from', 'to'] : ['url'];
    for (const key of needs.filter((name) => value(name) === undefined)) problems.push(error('alert-incomplete', `\`${value('kind')}\` needs \`${key}\``, 0, [`add \`${key}\``], at, 'kind'));
  }
  const gone = old.flatMap((text, index) => (fresh.includes(text) ? [] : [{ sign: '-', before: index + 1, after: null, text }]));
  const come = fresh.flatMap((text, index) => (old.includes(text) ? [] : [{ sign: '+', before: null, after: index + 1, text }]));
  const effect = problems.length > 0 ? [] : different(drafted(before, []).tables, tables);
  return { problems, digest, diff: [...gone, ...come], cut: false, more: come.length, less: gone.length, effect, later: come.some(({ text }) => text.startsWith('admin')) ? ['the admin listener moves at the next start'] : [] };
}

/** What two files say otherwise, table by table. */
function different(before, after) {
  const place = ({ at }) => at.map(({ table, name }) => (name ? `${table} ${name}` : table)).join(', ');
  const [old, fresh] = [before, after].map((all) => new Map(all.map((table) => [place(table), table.keys])));
  const said = (value) => (value === undefined ? '' : JSON.stringify(value));
  return [...new Set([...old.keys(), ...fresh.keys()])].flatMap((where) => {
    const [was, is] = [old.get(where), fresh.get(where)];
    if (!was || !is) return [{ place: where, key: '', kind: was ? 'removed' : 'added', before: '', after: '' }];
    const value = (keys, name) => keys.find(({ key }) => key === name)?.value;
    const keys = [...new Set([...was, ...is].map(({ key }) => key))].filter((key) => said(value(was, key)) !== said(value(is, key)));
    return keys.map((key) => ({ place: where, key, kind: value(was, key) === undefined ? 'added' : value(is, key) === undefined ? 'removed' : 'changed', before: said(value(was, key)), after: said(value(is, key)) }));
  });
}

/** What inspection found, and what a change of it would do. */
function rules(world, key, query, body, person, response) {
  if (key === 'GET rules') return json(response, found(Number(query.get('since')), now(Date.now(), world.scene, world.undone, world.pinned, world.held)));
  if (key === 'GET rules/exclusions') return query.get('reference') === 'unknown' ? problem(response, 404, 'Not Found', 'inspection found nothing in unknown that is on record') : json(response, releases(query.get('reference') !== null));
  if (key === 'POST rules/try') return json(response, tried(body.change));
  if (person.role !== 'owner') return problem(response, 403, 'Forbidden', 'this takes an owner');
  tell(world, 'The configuration was changed.', person.name, null);
  return json(response, { words: 'policy 4 is in force' });
}

/** One is played for two seconds; the first scenario holds, any other does not. */
function rehearsals(world, verb, first, id, body, person, response) {
  if (first === 'scenarios') return json(response, SCENARIOS);
  const all = (world.rehearsals ??= [{ ...rehearsed('rehearsal-1', '01-get-flood', 1, 'duty'), begun: Date.now() - 3_600_000 }]);
  const line = (one) => ({ ...one, ended: Date.now() - one.begun > 2000 ? one.begun + 2000 : null, state: one.state !== '' ? one.state : Date.now() - one.begun < 2000 ? 'playing' : one.scenario === '01-get-flood' ? 'holds' : 'fails' });
  if (verb === 'POST') return (all.unshift(rehearsed(`rehearsal-${all.length + 1}`, body.name ?? '', body.seed ?? 1, person.name)), json(response, line(all[0])));
  if (id === '') return json(response, all.map(line));
  const one = all.find((known) => known.id === id);
  if (!one) return problem(response, 404, 'Not Found', `there is no rehearsal \`${id}\``);
  if (verb === 'DELETE') return ((one.state = 'stopped'), (one.words = `${person.name} stopped it.`), json(response, { words: 'It is being stopped.' }));
  return json(response, { line: line(one), found: line(one).ended !== null && one.state === '' ? played(one) : null });
}

/** No challenge of a mock protects anything. */
const CHALLENGE = 'bW9jaw';

function own(world, key, path, body, person, response) {
  const at = Date.now();
  const [, what = '', id = ''] = path.split('/');
  if (key === 'GET session/all') {
    const session = (name, from, way, here, age) => ({ id: name, made: at - age, seen: at - age / 9, from, way, here });
    return json(response, [session('s-2', '198.51.100.7', 'passkey', true, 3_600_000), session('s-1', '203.0.113.4', 'password', false, 90_000_000)]);
  }
  if (key === 'GET session/failed') return json(response, [{ at: at - 600_000, from: '192.0.2.99', way: 'password' }]);
  if (key === 'GET session/passkeys') return json(response, world.passkeys);
  if (key === 'POST session/passkeys') return json(response, { rp: { name: 'Portcullis' }, user: { id: 'b3duZXI', name: person.name, displayName: person.name }, challenge: CHALLENGE, pubKeyCredParams: [{ type: 'public-key', alg: -7 }, { type: 'public-key', alg: -257 }], authenticatorSelection: { residentKey: 'required', userVerification: 'required' }, attestation: 'none' });
  if (key === 'PUT session/passkeys') {
    world.passkeys.push({ id: body.id, name: body.name ?? 'Passkey 1', synced: false, made: at, used: null });
    person.passkeys = world.passkeys.length;
    return json(response, { words: `${body.name ?? 'Passkey 1'} signs you in from now on.` });
  }
  if (key.startsWith('DELETE') && what === 'passkeys') world.passkeys = world.passkeys.filter((one) => one.id !== id);
  return json(response, { words: what === 'passkeys' ? 'The passkey opens nothing any more.' : 'The session is over.' });
}

function factor(world, key, body, person, response) {
  if (key === 'POST session/totp') return json(response, { url: 'otpauth://totp/The%20Party:owner?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=The%20Party', secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP' });
  if (key === 'PUT session/totp' && body.code !== '123456') return problem(response, 422, 'Unprocessable Content', 'the code is wrong: it may have changed meanwhile');
  const set = key === 'PUT session/totp';
  if (set) world.totp.add(person.name);
  else world.totp.delete(person.name);
  person.totp = set;
  return json(response, { words: set ? 'From now on a code is wanted.' : 'No code is wanted any more.' });
}

function people(key, first, id, body, person, response) {
  const day = 86_400_000;
  if (key === 'GET people') return json(response, [{ ...person }, { name: 'duty', role: 'operator', totp: true, passkeys: 1, seen: Date.now() - day / 8, federated: false }, { name: 'press', role: 'viewer', totp: false, passkeys: 0, seen: Date.now() - day, federated: true }]);
  if (key === 'POST people') return json(response, { url: `https://console.example.org/welcome#${'k3p9x2'.repeat(6)}`, until: Date.now() + day / 24 });
  if (first === 'people') return json(response, { words: `${id}: it is so from now on.` });
  const token = { id: 't-7', name: 'wallboard', by: 'owner', role: 'viewer', scopes: ['now'], made: Date.now() - 9 * day, until: Date.now() + 81 * day, used: Date.now() - 60_000 };
  if (key === 'GET tokens') return json(response, [token]);
  if (key === 'POST tokens') return json(response, { token: { ...token, name: body.name }, secret: 'pct_9f2c41d07be84a1b8e55' });
  if (first === 'tokens') return json(response, { words: 'The token opens nothing any more.' });
  return problem(response, 404, 'Not Found', 'there is nothing here');
}

function live(world, query, response, request) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  world.streams.add(response);
  request.on('close', () => world.streams.delete(response));
  const past = [
    [720_000, 'public', 'public went from normal (for 3602.0 s) to attack. Why: requests 60.1× expected (12613 per second, 210.0 expected).', 'posture', { platform: 'public', from: 'normal', to: 'attack' }],
    [719_000, 'public', 'Rule r-81 is enforced: what it matches is refused with status 429. It explains 97 % of what is beyond the expected.', 'rule-enforced', { rule: 'r-81', action: 'refuse' }],
    [300_000, 'public', 'Rule r-82 is enforced: navigations that it matches are challenged, anything else waits behind.', 'rule-enforced', { rule: 'r-82', action: 'challenge' }],
    [41_000, 'members', 'members is elevated, after normal for 9120.0 s. Why: 4 % of tries on /sign-in failed (usual 2 %).', 'posture', { platform: 'members', from: 'normal', to: 'elevated' }],
  ];
  // As a gate does, whoever opens anew is told what came after the last that was seen; the past stands before all acts.
  const last = Number(request.headers['last-event-id'] ?? query.get('last') ?? 0);
  const kept = world.scene === 'attack' ? past.map(([ago, platform, words, code, names], nth) => ({ id: nth + 1, happening: { at: Date.now() - ago, kind: 'act', platform, by: 'gate', words, said: { code, numbers: {}, names } } })) : [];
  [...kept, ...world.acts].filter(({ id }) => id > last).forEach(({ id, happening }) => send(world, response, 'happening', happening, id));
  // The line of a page that was just opened begins with a minute of the past, so that a picture of it shows a line.
  for (let ago = last > 0 ? 0 : 60; ago >= 0; ago -= 1) send(world, response, 'now', now((Math.floor(Date.now() / 1000) - ago) * 1000, world.scene, world.undone, world.pinned, world.held));
}

function history(world, query) {
  const [from, until, step] = ['from', 'until', 'step'].map((name) => Number(query.get(name)));
  const shown = PLATFORMS.filter(({ name }) => !query.get('platform') || query.get('platform') === name);
  const columns = ['requests', 'served', 'delayed', 'challenged', 'roomed', 'refused', 'failed'];
  const points = { at: [], ...Object.fromEntries(columns.map((name) => [name, []])), p95: [] };
  const waves = [[until - 12 * 60_000, until], [until - 50 * 60_000, until - 38 * 60_000]];
  for (let index = 0; from + index * step < until; index += 1) {
    const at = from + index * step;
    const hit = waves.some(([begin, end]) => at >= begin && at < end);
    const sum = Object.fromEntries(columns.map((name) => [name, 0]));
    for (const { name, base } of shown) {
      const day = 0.55 + 0.45 * Math.sin(((at / 3_600_000) % 24) / 24 * Math.PI * 2 - 2);
      const one = second(at, base * day, hit && name === 'public' && world.scene === 'attack' ? 12_400 : 0);
      columns.forEach((column) => (sum[column] += one[column] * (step / 1000)));
    }
    points.at.push(index);
    columns.forEach((column) => points[column].push(Math.round(sum[column])));
    points.p95.push(hit ? 181 : 62);
  }
  const postures = [{ at: from, posture: 'normal' }, ...waves.reverse().flatMap(([begin, end]) => [{ at: begin, posture: 'attack' }, { at: end, posture: 'recovery' }, { at: end + 120_000, posture: 'normal' }])].filter(({ at }) => at >= from && at < until);
  const stretch = (id, kind, action, begin, end, by = 'gate') => ({ id, kind, action, platform: 'public', by, from: begin, until: end, cut: false });
  const hour = 60 * 60_000;
  const measures = [
    stretch('r-79', 'rule', 'challenge', until - 49 * 60_000, until - 39 * 60_000),
    stretch('admission/public', 'admission', 'wait', until - 50 * 60_000, until - 37 * 60_000),
    stretch('r-80', 'rule', 'refuse', until - 47 * 60_000, until - 44 * 60_000, 'owner'),
    stretch('r-81', 'rule', 'refuse', until - 11.5 * 60_000, null),
    stretch('r-82', 'rule', 'challenge', until - 5 * 60_000, null),
  ].filter((it) => world.scene === 'attack' && (!query.get('platform') || query.get('platform') === it.platform) && it.from < until && (it.until ?? until) > from);
  return { platform: query.get('platform'), from, until, step, missing: 0, postures, measures: measures.sort((a, b) => a.from - b.from), more_measures: until - from > 24 * hour ? 3 : 0, points };
}

async function page(path, coding, response) {
  const file = path.includes('.') ? path : '/index.html';
  response.setHeader('Content-Security-Policy', POLICY);
  response.setHeader('Cache-Control', file.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache');
  try {
    const name = join(DIST, normalize(file));
    const bytes = await readFile(name);
    const brotli = /\bbr\b/.test(coding) ? await readFile(`${name}.br`).catch(() => null) : null;
    response.setHeader('Content-Type', KINDS[extname(file)] ?? 'application/octet-stream');
    response.setHeader('Content-Encoding', brotli ? 'br' : 'gzip');
    response.end(brotli ?? gzipSync(bytes));
  } catch {
    problem(response, 404, 'Not Found', 'there is no such file');
  }
}

async function sent(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString();
  return text ? JSON.parse(text) : {};
}

function json(response, value, status = 200) {
  response.statusCode = status;
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('Cache-Control', 'no-store');
  response.end(JSON.stringify(value));
}

function problem(response, status, title, detail, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/problem+json', ...headers });
  response.end(JSON.stringify({ type: 'about:blank', title, status, detail }));
}

const CONFIGURATION = `[server]
listen = ["0.0.0.0:443"]
admin = "127.0.0.1:9090"

[console]
approvals = ["people"]

[organisation]
name = "The Party"

# Somebody is always there.
[[organisation.contact]]
name = "Ada Lind"
role = "lead"
email = "ada@example.net"

[[platform]]
name = "public"
hosts = ["party.example"]
upstreams = ["http://10.0.4.11:8080", "http://10.0.4.12:8080"]

[platform.health]
path = "/health"

[[platform]]
name = "members"
hosts = ["members.party.example"]
upstreams = ["http://10.0.5.21:8080"]

# Whoever is on duty.
[[alert]]
name = "duty"
kind = "slack"
url = "https://hooks.example/T0/secret"
quiet = "22:00-07:00"
`;

const VERSIONS = () => [
  { id: '1795000000000', at: Date.now() - 3_600_000, by: 'owner', why: 'a second server for the public site', more: 1, less: 1, digest: '0'.repeat(64), text: CONFIGURATION.replace(', "http://10.0.4.12:8080"', '') },
  { id: '1794000000000', at: Date.now() - 9 * 86_400_000, by: 'duty', why: '', more: 4, less: 0, digest: '0'.repeat(64), text: '[server]\n' },
];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { port } = await start({ scene: process.argv[2] ?? 'attack' });
  console.log(`http://127.0.0.1:${port}`);
}
