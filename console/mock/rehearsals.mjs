// What the mock gate plays: the shape of a flood that is noticed, met and over.

const text = (name, title) => `name = "${name}"\ntitle = "${title}"\nlasts = "22m"\n\n[[population]]\nname = "supporters"\nrate = [80, 240]\n\n[[attack]]\nname = "flood"\nkind = "flood"\nat = ["4m", "5m"]\nlasts = "90s"\ntimes = [6, 12]\n\n[[expect]]\nfigure = "refused_protected"\nat_most = 0\n`;
const scenario = (name, title) => ({ name, title, text: text(name, title) });

export const SCENARIOS = [
  scenario('01-get-flood', 'GET flood from five networks, about ten times the ordinary load'),
  scenario('21-debate-crowd', 'A televised debate sends ten times the visitors within seconds'),
  scenario('26-slow-database', 'The database is slow and nobody attacks'),
];

export function rehearsed(id, scenario, seed, by) {
  return { id, scenario, seed, by, begun: Date.now(), ended: null, state: '', words: '' };
}

export function played({ scenario, seed }) {
  const passed = scenario === '01-get-flood';
  const points = Array.from({ length: 330 }, (_, index) => index);
  const hit = (index) => index >= 66 && index < 90;
  const posture = (index) => (index < 66 ? 'normal' : index < 90 ? 'attack' : index < 140 ? 'recovery' : 'normal');
  const expectation = (name, about, value, limit, unit, met = true) => ({ name, about, value, limit, unit, passed: met });
  return {
    scenario: scenario || 'my-own', title: SCENARIOS.find(({ name }) => name === scenario)?.title ?? 'Mine', seed, passed,
    expectations: [
      expectation('armed', "from the first request of the attack until the platform's posture is no longer normal", 612, 1000, 'ms'),
      expectation('rule', 'from the first request of the attack until a rule acts', passed ? 1240 : null, 2000, 'ms', passed),
      expectation('refused_protected', 'sessions of people, partners and machines that are known, of which any request was refused', 0, 0, ''),
      expectation('connections_free at least', "the least share of the node's connections that was free", 88.4, 10, '%'),
    ],
    figures: [{ name: 'calm_p99', about: '99th percentile of legitimate requests in calm', value: 118.4, unit: 'ms' }, { name: 'rules', about: 'rules that acted', value: 2, unit: '' }],
    attacks: [{ name: 'flood', from: 264.2, until: 358.9 }],
    timeline: {
      second: points.map((index) => 4 * (index + 1)),
      legitimate: points.map((index) => 640 + 80 * Math.round(Math.sin(index / 9))),
      legitimate_refused: points.map((index) => (index === 67 ? 3 : 0)),
      attack: points.map((index) => (hit(index) ? 6400 : 0)),
      attack_passed: points.map((index) => (index === 66 ? 4100 : hit(index) ? 30 : 0)),
      p99_ms: points.map((index) => (index === 66 ? 410 : 118)),
      posture: points.map(posture),
    },
    cohorts: [
      { name: 'supporters', protected: false, sessions: 22_104, refused: 2, challenged: 120, failed: 1, delayed: 30, unserved: 4 },
      { name: 'known', protected: true, sessions: 6_311, refused: 0, challenged: 0, failed: 0, delayed: 3, unserved: 0 },
      { name: 'partner', protected: true, sessions: 40, refused: 0, challenged: 0, failed: 0, delayed: 0, unserved: 0 },
    ],
    acts: [{ at: 264.8, words: 'public went from normal to attack: 60 times the expected.' }, { at: 265.4, words: 'r-1 was enforced on public: refuse where TLS 77f0 & no token.' }],
    more_acts: 0,
    log_hash: '9f2c41d07be84a1b8e559f2c41d07be84a1b8e559f2c41d07be84a1b8e55aabb',
  };
}
