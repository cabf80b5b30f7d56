// What the mock gate's inspection found: a forum on which a rule hits members, and a search that only observes.

const finding = (what, why, refused, would, audience, reference) => ({ what, why, requests: refused + would, refused, would_be_refused: would, visitors: Object.values(audience).reduce((sum, one) => sum + one, 0), audience, reference });
const reached = (records, audience, references) => ({ records, visitors: Object.values(audience).reduce((sum, one) => sum + one, 0), audience, references });

export function found(since, state) {
  const route = (platform, path, detection, rules, by, exclude = []) => ({
    platform, route: path, detection, rules, exclude,
    requests: by.reduce((sum, one) => sum + one.requests, 0), refused: by.reduce((sum, one) => sum + one.refused, 0), would_be_refused: by.reduce((sum, one) => sum + one.would_be_refused, 0),
    visitors: by.reduce((sum, one) => sum + one.visitors, 0), audience: by[0]?.audience ?? {}, reference: by[0]?.reference ?? '', by, families: [],
  });
  return {
    since, from: '2026-11-22T14:02:11.120Z', until: '2026-11-23T14:01:58.004Z', older_left_out: 0,
    routes: [
      route('members', '/forum/**', 'enforce', 'enforce', [
        finding('942100', 'SQL Injection Attack Detected via libinjection', 41, 0, { known: 11, visitor: 3, stranger: 2 }, '5Z7Q0C2M4N8KT'),
        finding('sql', 'it would end a string and ask for more', 12, 0, { stranger: 4 }, '1B9KQ0C2M4N8A'),
      ]),
      route('public', '/search', 'observe', 'observe', [finding('941100', 'XSS Attack Detected via libinjection', 0, 204, { stranger: 61 }, '7C7Q0C2M4N8KD')], ['tag:attack-sqli ARGS:note']),
      route('public', '/**', 'enforce', 'observe', []),
    ],
    own: state.platforms.flatMap(({ name, measures }) => measures.filter(({ kind }) => kind === 'rule').map((rule) => ({ platform: name, rule }))),
  };
}

export function releases(one) {
  const release = {
    platform: 'members', route: '/forum/**', exclude: ['942100 ARGS:text'], matched: { '942100 ARGS:text': "don't select the union before" },
    releases: one ? reached(1, { known: 1 }, ['5Z7Q0C2M4N8KT']) : reached(38, { known: 11, visitor: 3 }, ['5Z7Q0C2M4N8KT', '2D7Q0C2M4N8KA']),
    also_releases: one ? reached(37, { known: 10, visitor: 3 }, ['2D7Q0C2M4N8KA']) : reached(0, {}, []), stay: 3, refused: null,
  };
  return { records: 53, older_left_out: 0, tried: one ? 1 : 51, proposals: [release], more_proposals: 0, no_exclusion_suffices: one ? 0 : 2, not_tried: one ? [] : [{ why: 'a value is longer than what is recorded, or withheld', records: 2 }] };
}

export function tried(change) {
  const exclude = change.kind === 'exclude';
  return {
    words: exclude ? `${change.exclude.join(', ')} is left out on ${change.platform}${change.route}` : `${change.platform}${change.route}: detection observe -> enforce`,
    digest: '0'.repeat(64),
    diff: [{ sign: ' ', before: 31, after: 31, text: 'path = "/forum/**"' }, { sign: '+', before: null, after: 32, text: '[platform.route.waf]' }, { sign: '+', before: null, after: 33, text: 'exclude = ["942100 ARGS:text"]' }],
    records: 257, older_left_out: 0,
    routes: [{ platform: change.platform, route: change.route, records: 53, refused_now: exclude ? 51 : 0, refused_then: exclude ? 13 : 51, released: exclude ? reached(38, { known: 11, visitor: 3 }, ['5Z7Q0C2M4N8KT']) : reached(0, {}, []), caught: exclude ? reached(0, {}, []) : reached(51, { known: 2, stranger: 61 }, ['7C7Q0C2M4N8KD']) }],
    not_tried: [{ why: 'a value is longer than what is recorded, or withheld', records: 2 }],
  };
}
