// Looks at every view as people will: three sizes, light and dark, two languages. Pictures go to shots/; what axe-core finds, what
// the content security policy stopped, what a page wanted from elsewhere, and what does not fit a telephone, fails.
// `node scripts/shots.mjs now,traffic 360 dark da` looks at less.

import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { start, waiting } from '../mock/server.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SIZES = [[360, 740], [768, 1024], [1440, 900]];
const VIEWS = {
  now: { path: '/' },
  calm: { path: '/', scene: 'calm' },
  crowd: { path: '/', scene: 'crowd' },
  recovery: { path: '/', scene: 'recovery' },
  outage: { path: '/', scene: 'outage' },
  more: { path: '/', act: async (page) => { const more = page.locator('nav .more'); if (await more.isVisible()) await more.click(); } },
  viewer: { path: '/', who: 'viewer', waiting: true },
  undo: { path: '/', act: async (page) => page.locator('.next button', { hasText: /^(Undo|Fortryd)/ }).first().click() },
  lost: { path: '/', silent: true },
  traffic: { path: '/traffic?platform=public', settle: 900 },
  country: { path: '/traffic?platform=public', settle: 300, act: async (page) => { await page.locator('#by').selectOption('country'); await page.locator('.bar').first().waitFor(); } },
  found: { path: '/traffic?platform=public', settle: 300, act: async (page) => { await page.locator('.bar').first().waitFor(); await page.locator('th button.link').first().click(); await page.locator('section[aria-labelledby=search] table').waitFor(); } },
  nowhere: { path: '/traffic', scene: 'calm', settle: 300, act: async (page) => { await page.locator('#by').selectOption('country'); await page.locator('.notice').first().waitFor(); } },
  search: {
    path: '/traffic?platform=public',
    settle: 300,
    act: async (page) => {
      await page.locator('#wish-client').fill('203.0.113.0/24');
      await page.locator('section:has(#wish-text) form button').click();
      await page.locator('section:has(#wish-text) table').waitFor();
    },
  },
  incidents: { path: '/incidents' },
  incident: { path: '/incidents/2026-11-23-1', settle: 500 },
  integrity: { path: '/integrity' },
  rules: { path: '/rules?reference=5Z7Q0C2M4N8KT', settle: 700 },
  tried: {
    path: '/rules?reference=5Z7Q0C2M4N8KT',
    settle: 700,
    act: async (page) => {
      await page.locator('section:has(#reference) li button').first().click();
      await page.locator('section:has(#reference) table').first().waitFor();
    },
  },
  rehearse: { path: '/rehearse', settle: 900 },
  data: { path: '/data', settle: 500 },
  decide: { path: '/data', settle: 500, act: async (page) => page.getByRole('button', { name: /^(Approve all|Godkend alt)/ }).first().click() },
  handed: { path: '/incidents/2026-11-23-1', settle: 500, act: async (page) => page.getByRole('button', { name: /^(It was handed|Det er indsendt)/ }).first().click() },
  opening: { path: '/incidents', act: async (page) => page.getByRole('button', { name: /^(Open an|Åbn en)/ }).click() },
  settings: { path: '/settings' },
  approvals: { path: '/approvals', waiting: true, settle: 500, act: async (page) => page.locator('summary').first().click() },
  form: {
    path: '/settings',
    act: async (page) => {
      await page.getByRole('button', { name: /^(Add an alert|Tilføj en alarm)/ }).click();
      await page.locator('form.sheet select').first().selectOption('email');
      await page.locator('form.sheet button.main').click();
      await page.locator('form.sheet .wrong').first().waitFor();
    },
  },
  formed: {
    path: '/settings',
    act: async (page) => {
      await page.getByRole('button', { name: /^(Change|Ret) public/ }).click();
      await page.locator('form.sheet textarea').first().fill('party.example\nwww.party.example');
      await page.locator('form.sheet button.main').click();
      await page.locator('section[aria-labelledby=outcome] .diff').waitFor();
      await page.getByRole('button', { name: /^(Change|Ret) public/ }).click();
      await page.locator('form.sheet').waitFor();
    },
  },
  wrong: {
    path: '/settings',
    act: async (page) => {
      await page.locator('summary:has(~ .field #text)').click();
      await page.locator('#text').fill('[server]\nbogus = 1\n');
      await page.locator('details:has(#text) button.main').click();
      await page.locator('section:has(#text) .mark').first().waitFor();
    },
  },
  weighed: {
    path: '/settings',
    act: async (page) => {
      await page.locator('summary:has(~ .field #text)').click();
      const text = await page.locator('#text').inputValue();
      await page.locator('#text').fill(text.replace('127.0.0.1:9090', '127.0.0.1:9091').replace('"party.example"', '"party.example", "www.party.example"'));
      await page.locator('details:has(#text) button.main').click();
      await page.locator('section:has(#text) .diff').waitFor();
    },
  },
  explain: { path: '/traffic?explain=5Z7Q0C2M4N8KT', settle: 900 },
  rule: { path: '/traffic?explain=r-81', settle: 900 },
  signin: { path: '/', who: null },
  stranger: { path: '/oidc?state=mock&code=stranger', who: null },
  welcome: { path: '/welcome#k3p9x2', who: null, fresh: true },
};

const wanted = process.argv.slice(2).flatMap((word) => word.split(','));
const picked = (name) => wanted.length === 0 || !wanted.some((word) => word in VIEWS) || wanted.includes(name);
const of = (words, all) => (all.some((one) => wanted.includes(String(words(one)))) ? all.filter((one) => wanted.includes(String(words(one)))) : all);

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const mock = await start({ port: 0 });
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
const faults = [];
await mkdir('shots', { recursive: true });

for (const [name, view] of Object.entries(VIEWS).filter(([name]) => picked(name))) {
  for (const [width, height] of of(([width]) => width, SIZES)) {
    for (const scheme of of((scheme) => scheme, ['light', 'dark'])) {
      for (const language of of((language) => language, ['en', 'da'])) await look(name, view, width, height, scheme, language);
    }
  }
}
await browser.close();
mock.stop();
faults.forEach((fault) => console.error(fault));
console.log(`${faults.length === 0 ? 'nothing' : faults.length} to complain about`);
process.exitCode = faults.length === 0 ? 0 : 1;

async function look(name, view, width, height, colorScheme, language) {
  const tag = `${name}-${width}-${colorScheme}-${language}`;
  Object.assign(mock.world, { scene: view.scene ?? 'attack', silent: false, fresh: view.fresh ?? false, undone: new Set(), pinned: new Set(), held: {}, proposals: view.waiting ? waiting() : [] });
  const origin = `http://127.0.0.1:${mock.port}`;
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme, locale: language === 'da' ? 'da-DK' : 'en-GB', timezoneId: 'Europe/Copenhagen', serviceWorkers: 'block', bypassCSP: false, reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.on('console', (message) => /error|warning/.test(message.type()) && !/Failed to load resource|ERR_|Service Worker registration blocked/.test(message.text()) && faults.push(`${tag}: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`${tag}: ${error.message}`));
  page.on('request', (request) => !request.url().startsWith(origin) && !request.url().startsWith('data:') && faults.push(`${tag}: asked for ${request.url()}`));
  if (view.who !== null) await page.request.post(`${origin}/api/v1/session`, { data: { name: view.who ?? 'owner', password: 'a long enough one' } });
  // The stream of the mock begins with a minute of the past, which nobody draws who knows the present already.
  await page.route('**/api/v1/session?now=true', (route) => route.continue({ url: `${origin}/api/v1/session` }));
  await page.goto(origin + view.path);
  await page.locator('h1').first().waitFor({ timeout: 5000 }).catch(() => faults.push(`${tag}: no heading`));
  // The first screen is whole a little after its first sentence.
  if (view.path === '/' && view.who !== null) await page.locator('.platforms article').first().waitFor({ timeout: 5000 }).catch(() => faults.push(`${tag}: no platforms`));
  await page.waitForTimeout(view.settle ?? 350);
  if (view.silent) {
    mock.world.silent = true;
    await page.waitForTimeout(7500);
  }
  if (view.act) await view.act(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) faults.push(`${tag}: ${wide} px wider than the window`);
  await page.screenshot({ path: `shots/${tag}.png`, fullPage: true });
  await page.screenshot({ path: `shots/${tag}-first.png` });
  await page.evaluate(`${axe}; 0`);
  const found = await page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const result = await globalThis.axe.run(document, { runOnly: { type: 'tag', values: tags } });
    return result.violations.map((one) => `${one.id}: ${one.help}\n    ${one.nodes.slice(0, 4).map((node) => `${node.target} ${node.any[0]?.message ?? node.failureSummary}`).join('\n    ')}`);
  });
  found.forEach((one) => faults.push(`${tag}: axe ${one}`));
  await context.close();
}
