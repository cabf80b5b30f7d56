// Walks through the console as people do, by keys alone, with a stream that breaks and without a network, in Debian's Chromium
// against the mock. Each step that does not come to what it should fails.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { start } from '../mock/server.mjs';

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
let failed = 0;
let passed = 0;

async function walk(name, how, { who = 'owner', serviceWorkers = 'block', width = 1280, ...world } = {}) {
  const mock = await start({ port: 0 });
  Object.assign(mock.world, world);
  const context = await browser.newContext({ viewport: { width, height: 740 }, locale: 'en-GB', serviceWorkers, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const origin = `http://127.0.0.1:${mock.port}`;
  try {
    if (who) await page.request.post(`${origin}/api/v1/session`, { data: { name: who, password: 'a long enough one' } });
    await page.goto(origin);
    await how(page, mock, origin);
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
  await context.close();
  mock.stop();
}

const focused = (page) => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');

/** Presses Tab until what has the focus says so. */
async function tabTo(page, words, most = 60) {
  for (let pressed = 0; pressed < most; pressed += 1) {
    await page.keyboard.press('Tab');
    if (words.test(await focused(page))) return;
  }
  throw new Error(`nothing that says ${words} is reached by Tab`);
}

await walk('signing in by keys, with a second factor', async (page) => {
  await page.locator('#name').focus();
  await page.keyboard.type('second');
  await page.keyboard.press('Tab');
  await page.keyboard.type('a long enough one');
  await page.keyboard.press('Enter');
  await page.locator('#code').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'code');
  await page.keyboard.type('123 456');
  await page.keyboard.press('Enter');
  await page.locator('.hero h1').waitFor();
}, { who: null });

await walk('a wrong password says so, and too many say how long to wait', async (page) => {
  await page.fill('#name', 'duty');
  await page.fill('#password', 'wrong');
  await page.keyboard.press('Enter');
  await page.getByText('Name, password or code is wrong.').waitFor();
  await page.fill('#name', 'locked');
  await page.keyboard.press('Enter');
  await page.getByText('Wait 30 seconds.').waitFor();
}, { who: null });

await walk('the first account by its link, whose secret leaves the address', async (page, mock, origin) => {
  await page.goto(`${origin}/welcome#k3p9x2`);
  await page.locator('#name').fill('ane');
  assert.equal(new URL(page.url()).hash, '');
  await page.locator('#password').fill('a sentence nobody says');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Set it up' }).click();
  await page.locator('svg.code').waitFor();
  await page.locator('#first-code').fill('000000');
  await page.keyboard.press('Enter');
  await page.getByText('the code is wrong').waitFor();
  await page.locator('#first-code').fill('123456');
  await page.keyboard.press('Enter');
  await page.locator('.hero h1').waitFor();
}, { who: null, fresh: true });

await walk('undoing by keys alone: explained, left, done', async (page, mock) => {
  await page.locator('.hero h1').waitFor();
  await page.keyboard.press('Tab');
  assert.match(await focused(page), /Skip to the content/);
  await page.keyboard.press('Enter');
  await tabTo(page, /^Undo r-82$/);
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('role')), 'group');
  assert.equal(mock.world.undone.size, 0, 'nothing is done before it is confirmed');
  await page.keyboard.press('Escape');
  assert.match(await focused(page), /^Undo r-82$/);
  assert.equal(await page.locator('.ask').count(), 0);
  await page.keyboard.press('Enter');
  await tabTo(page, /^Undo r-82$/, 3);
  await page.keyboard.press('Enter');
  await page.getByText('r-82 was undone').first().waitFor();
  assert.deepEqual([...mock.world.undone], ['r-82']);
});

await walk('whoever only looks sees why nothing can be done, and nothing is asked', async (page, mock) => {
  const button = page.locator('.measure button', { hasText: 'Undo' }).first();
  await button.waitFor();
  assert.equal(await button.getAttribute('aria-disabled'), 'true');
  const why = await page.locator(`#${await button.getAttribute('aria-describedby')}`).textContent();
  assert.match(why, /It takes an operator\. You are a viewer\./);
  await button.click({ force: true });
  assert.equal(await page.locator('.ask').count(), 0);
  assert.equal(mock.world.undone.size, 0);
}, { who: 'viewer' });

await walk('the first sentence and its advice wait for no other words, and what does says that they do not come', async (page, _, origin) => {
  await page.route(/\/assets\/en-/, (route) => route.abort());
  await page.goto(origin);
  await page.locator('.hero h1').waitFor();
  await page.locator('.now .notice.bad').waitFor();
  assert.deepEqual((await page.locator('body').innerText()).match(/\b[a-z]+\.[a-z]+[A-Z]?\w*/g) ?? [], [], 'a name of a message instead of the message');
  assert.equal(await page.locator('.platforms').count(), 0);
  await page.unroute(/\/assets\/en-/);
  await page.goto(origin);
  await page.locator('.platforms article').first().waitFor();
});

await walk('another language leaves what is half typed', async (page, _, origin) => {
  for (const [path, field] of [['/', '.lookup input'], ['/rules', 'main input:not([type=checkbox])']]) {
    await page.goto(origin + path);
    await page.locator(field).first().fill('5Z7Q');
    for (const [language, title] of [['da', 'Trafik'], ['en', 'Traffic']]) {
      await page.locator('nav select').first().selectOption(language);
      await page.locator('nav a', { hasText: title }).waitFor();
      assert.equal(await page.locator(field).first().inputValue(), '5Z7Q', `${path} in ${language}`);
    }
  }
});

await walk('a stream that breaks is said to be old, and comes back', async (page, mock) => {
  await page.locator('.fresh.live').waitFor();
  mock.world.silent = true;
  mock.world.streams.forEach((stream) => stream.destroy());
  await page.locator('.fresh.lost').waitFor({ timeout: 15_000 });
  assert.match(await page.locator('.fresh').textContent(), /No word from the gate for .* What you see is from/);
  assert.equal(await page.locator('.measure button').first().getAttribute('aria-disabled'), 'true');
  mock.world.silent = false;
  await page.locator('.fresh.live').waitFor({ timeout: 40_000 });
  const all = await page.locator('#happened ~ ol li, #happened ~ details li').allTextContents();
  assert.equal(new Set(all).size, all.length, 'nothing is told twice');
});

await walk('a page that is left holds no stream, and has one again when it is come back to', async (page, mock) => {
  await page.locator('.fresh.live').waitFor();
  // A browser that keeps the page says so by these two and nothing else; this one keeps none.
  const told = (...kinds) => page.evaluate((kinds) => kinds.forEach((kind) => window.dispatchEvent(new PageTransitionEvent(kind, { persisted: true }))), kinds);
  const streams = async (count) => {
    for (let tries = 0; tries < 100 && mock.world.streams.size !== count; tries += 1) await page.waitForTimeout(50);
    assert.equal(mock.world.streams.size, count);
  };
  const opened = [];
  page.on('request', (request) => request.url().includes('/live') && opened.push(new URL(request.url()).search));
  await streams(1);
  for (let left = 0; left < 2; left += 1) {
    await told('pagehide');
    await streams(0);
    // A browser may say it in more ways than one.
    await told('pageshow', 'pageshow');
    await streams(1);
    await page.locator('.fresh.live').waitFor();
  }
  assert.deepEqual(opened, ['?last=4', '?last=4'], 'each time one stream, that tells nothing again');
});

await walk('without a network the last state opens, and says how old it is', async (page, mock) => {
  await page.locator('.fresh.live').waitFor();
  const kept = page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  assert.ok(await Promise.race([kept, page.waitForTimeout(10_000)]), 'the console is kept on the device');
  // The first visit is not yet the worker's; the second is, and keeps what it fetches.
  await page.reload();
  await page.locator('.fresh.live').waitFor();
  await page.waitForTimeout(1500);
  mock.stop();
  await page.reload();
  await page.locator('.hero h1').waitFor({ timeout: 10_000 });
  await page.locator('.fresh.lost').waitFor({ timeout: 15_000 });
  assert.match(await page.locator('.hero h1').textContent(), /under attack/);
  assert.equal(await page.locator('.next button').first().getAttribute('aria-disabled'), 'true');
}, { serviceWorkers: 'allow' });

await walk('signing out leaves nothing on the device', async (page) => {
  await page.locator('.fresh.live').waitFor();
  await page.evaluate(() => window.dispatchEvent(new Event('pagehide')));
  assert.ok(await page.evaluate(() => localStorage.getItem('portcullis.state')));
  await page.getByRole('button', { name: 'Sign out' }).first().click();
  await page.locator('#password').waitFor();
  assert.equal(await page.evaluate(() => localStorage.getItem('portcullis.state')), null);
});

await walk('a session that ended elsewhere leads to the sign-in', async (page, mock) => {
  await page.locator('.fresh.live').waitFor();
  mock.world.who.clear();
  // Whatever asks first meets it: this, or a question that the page asks by itself, which takes the link away.
  await page.getByRole('link', { name: 'Integrity' }).first().click({ timeout: 2000 }).catch(() => undefined);
  await page.locator('#password').waitFor();
});

await walk('each thing that has the focus is seen, and under no bar', async (page) => {
  await page.locator('.hero h1').waitFor();
  await page.waitForTimeout(500);
  let seen = 0;
  for (let pressed = 0; pressed < 70; pressed += 1) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(async () => {
      // What the focus changes is drawn with the next frame.
      await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const box = element.getBoundingClientRect();
      const bar = document.querySelector('nav')?.getBoundingClientRect();
      const style = getComputedStyle(element);
      const inBar = Boolean(element.closest('nav'));
      const covered = !inBar && bar && getComputedStyle(document.querySelector('nav')).position === 'fixed' && box.top >= bar.top && box.bottom <= bar.bottom;
      return { what: `${element.tagName} ${element.textContent?.trim().slice(0, 40)}`, outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, covered, out: box.bottom < 0 || box.top > innerHeight };
    });
    if (!stop) break;
    seen += 1;
    assert.ok(stop.outlined, `${stop.what}: no outline`);
    assert.ok(!stop.covered && !stop.out, `${stop.what}: not in sight`);
  }
  assert.ok(seen > 15, `${seen} stops`);
}, { width: 360 });

await walk('on a telephone the other views unfold by keys, and fold again', async (page) => {
  await page.locator('.hero h1').waitFor();
  const settings = page.getByRole('link', { name: 'Settings' });
  assert.equal(await settings.isVisible(), false);
  await page.locator('nav .more').focus();
  await page.keyboard.press('Enter');
  assert.ok(await settings.isVisible());
  await page.keyboard.press('Escape');
  assert.equal(await settings.isVisible(), false);
  assert.match(await focused(page), /^More$/);
  await page.keyboard.press('Enter');
  await tabTo(page, /^Rules$/, 2);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Rules' }).waitFor();
  assert.equal(await settings.isVisible(), false, 'what was chosen covers nothing');
}, { width: 360 });

await walk('a reference that is read out on the telephone leads from the first screen to why', async (page) => {
  await page.getByLabel('Reference').fill('5z7q 0c2m 4n8kt');
  await page.keyboard.press('Enter');
  await page.locator('section[aria-labelledby=explain] ol.way').waitFor();
  assert.match(page.url(), /explain=5z7q/);
}, { width: 360 });

await walk('a reference that was misheard leads to that nothing has it', async (page) => {
  await page.getByLabel('Reference').fill('unknown');
  await page.keyboard.press('Enter');
  const refusal = page.getByText('Nothing on record has that name.');
  await refusal.waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'explain');
  const seen = await refusal.evaluate((element) => [element.getBoundingClientRect().top, innerHeight]);
  assert.ok(seen[0] < seen[1], `it is in sight: ${seen}`);
}, { width: 360 });

await walk('the chart is read by keys', async (page) => {
  await page.getByRole('link', { name: 'Traffic', exact: true }).first().click();
  const chart = page.getByRole('slider');
  await page.locator('.place[data-drawn]').waitFor();
  await chart.focus();
  const before = await chart.getAttribute('aria-valuetext');
  for (let pressed = 0; pressed < 3; pressed += 1) await page.keyboard.press('PageUp');
  assert.notEqual(await chart.getAttribute('aria-valuetext'), before);
  await page.keyboard.press('Home');
  assert.equal(await chart.getAttribute('aria-valuenow'), '0');
});

await walk('a passkey is made, and signs in alone', async (page, mock) => {
  // A passkey belongs to a name, and an address is none.
  const origin = `http://localhost:${mock.port}`;
  await page.request.post(`${origin}/api/v1/session`, { data: { name: 'owner', password: 'a long enough one' } });
  const devices = await page.context().newCDPSession(page);
  await devices.send('WebAuthn.enable');
  await devices.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  await page.goto(`${origin}/settings`);
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await page.getByLabel('What to call it').fill('Telephone');
  await page.getByRole('button', { name: 'Go on at the device' }).click();
  await page.getByText('Telephone signs you in from now on.').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).first().click();
  await page.getByRole('button', { name: 'With a passkey' }).click();
  await page.getByRole('button', { name: 'Sign out' }).first().waitFor();
  assert.equal(mock.world.passkeys.length, 1);
}, { who: null });

await walk('two operators see what the other did', async (page, mock, origin) => {
  await page.locator('.fresh.live').waitFor();
  const other = await browser.newContext({ locale: 'da-DK', serviceWorkers: 'block' });
  const second = await other.newPage();
  await second.request.post(`${origin}/api/v1/session`, { data: { name: 'operator', password: 'a long enough one' } });
  await second.goto(origin);
  await second.locator('.measure button', { hasText: 'Fortryd' }).first().click();
  await second.locator('.ask button.main').click();
  await page.locator('#happened ~ ol li', { hasText: 'operator' }).first().waitFor();
  await other.close();
});

await walk('a refusal leads by keys to what would let it pass, tried and then applied', async (page, mock, origin) => {
  await page.goto(`${origin}/rules?reference=5Z7Q0C2M4N8KT`);
  await page.getByText('How far it reaches').first().waitFor();
  await page.locator('#reference').focus();
  await tabTo(page, /^Try it on what is on record/);
  await page.keyboard.press('Enter');
  await page.getByRole('columnheader', { name: 'Refused then' }).waitFor();
  assert.equal(mock.world.acts.length, 0, 'nothing is done before it is confirmed');
  await tabTo(page, /^Apply it/, 20);
  await page.keyboard.press('Enter');
  await tabTo(page, /^Apply it$/, 6);
  await page.keyboard.press('Enter');
  await page.getByText('policy 4 is in force').waitFor();
  assert.match(await focused(page), /policy 4 is in force/);
  assert.equal(mock.world.acts.length, 1);
});

await walk('whoever only looks reads rules and rehearsals and is offered no act', async (page, mock, origin) => {
  for (const [path, words] of [['/rules?reference=5Z7Q0C2M4N8KT', 'How far it reaches'], ['/rehearse', 'All 4 expectations are met.']]) {
    await page.goto(origin + path);
    await page.getByText(words).first().waitFor();
    assert.equal(await page.locator('main button', { hasText: /^(Try|Apply|Play|Stop)/ }).count(), 0, path);
  }
}, { who: 'viewer' });

await walk('a rehearsal is played and read', async (page, mock, origin) => {
  await page.goto(`${origin}/rehearse`);
  await page.locator('#scenario').selectOption('26-slow-database');
  await page.getByRole('button', { name: 'Play it' }).click();
  await page.locator('.ask button.main').click();
  await page.getByText('26-slow-database is being played for owner').waitFor();
  await page.getByText('1 of 4 expectations are not met.').waitFor({ timeout: 10_000 });
});

await walk('what takes two people waits for the second, who sees it at once', async (page, mock, origin) => {
  mock.world.approvals = ['undo'];
  await page.locator('.fresh.live').waitFor();
  const other = await browser.newContext({ locale: 'en-GB', serviceWorkers: 'block' });
  const second = await other.newPage();
  await second.request.post(`${origin}/api/v1/session`, { data: { name: 'operator', password: 'a long enough one' } });
  await second.goto(`${origin}/approvals`);
  await second.getByText('Nothing waits.').waitFor();
  await page.locator('.measure button', { hasText: 'Undo' }).first().click();
  await page.locator('.ask button.main').click();
  await page.getByText('it waits for another person').waitFor();
  assert.equal(mock.world.undone.size, 0, 'it waits');
  await page.getByText('One act waits for a second person.').waitFor();
  await page.goto(`${origin}/approvals`);
  await page.getByText('You proposed it.').waitFor();
  assert.equal(await page.getByRole('button', { name: /^Approve/ }).count(), 0, 'nobody approves their own');
  await second.getByRole('button', { name: /^Approve/ }).click();
  await second.getByRole('button', { name: 'Approve and do it' }).click();
  await second.getByText('Nothing waits.').waitFor();
  await page.getByText('Nothing waits.').waitFor();
  await page.getByText('operator approved what owner proposed').waitFor();
  await other.close();
});

await walk('an alert is added by a form, by keys: refused, mended, weighed, in force', async (page, mock, origin) => {
  await page.goto(`${origin}/settings`);
  await page.getByRole('button', { name: 'Add an alert' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Add an alert' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'INPUT', 'one begins to type at once');
  await page.keyboard.type('Board');
  await page.keyboard.press('Tab');
  await page.keyboard.type('E');
  const sheet = page.locator('form.sheet');
  await sheet.getByLabel('Mail server').first().waitFor();
  assert.equal(await sheet.getByLabel('Address to send to').count(), 0, 'a letter has no address on the web');
  // A name that the gate does not take is told where it was typed, and nothing that was typed is lost.
  await sheet.getByLabel('Sender').fill('gate@party.example');
  await sheet.getByRole('button', { name: 'See what changes' }).click();
  await page.getByText('a name has 1 to 63 lower-case letters').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-invalid')), 'true');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('board');
  await page.keyboard.press('Enter');
  // So is what it needs beside.
  await page.getByText('`email` needs `server`').waitFor();
  await sheet.getByLabel('Mail server').first().fill('mail.party.example:587');
  await sheet.getByLabel('Who gets the letters').fill('board@party.example\nane@party.example');
  await sheet.getByRole('button', { name: 'See what changes' }).click();
  const outcome = page.locator('section[aria-labelledby=outcome]');
  await outcome.getByText('alert board').waitFor();
  assert.match(await focused(page), /Your change, not in force yet/);
  await outcome.getByText('+ to = ["board@party.example", "ane@party.example"]').waitFor();
  assert.ok(!mock.world.text.includes('board'), 'nothing is done before it is confirmed');
  await outcome.getByRole('button', { name: 'Put it in force' }).first().click();
  await page.locator('#why').fill('the board wants to know');
  await page.locator('.ask button.main').click();
  await page.getByText('policy 4 is in force').first().waitFor();
  assert.match(mock.world.text, /# Whoever is on duty\.\n\[\[alert\]\]\nname = "duty"/);
  assert.match(mock.world.text, /name = "board"\nkind = "email"/);
  await page.getByRole('button', { name: 'Send a test board' }).click();
  await page.locator('.ask button.main').click();
  await page.getByText('A test is on its way to board.').first().waitFor();
  // And it is as it was.
  await page.getByRole('button', { name: 'Put this one in force again' }).first().click();
  await page.locator('.ask button.main').click();
  await page.locator('form.sheet, button:has-text("Remove board")').waitFor({ state: 'detached' });
  assert.ok(!mock.world.text.includes('board'));
});

await walk('a platform and a contact are changed by forms in one change, kept while the stream is lost and while one looks elsewhere', async (page, mock, origin) => {
  await page.goto(`${origin}/settings`);
  await page.getByRole('button', { name: 'Change public' }).click();
  const sheet = page.locator('form.sheet');
  await sheet.getByLabel('Addresses of the site').fill('party.example\nwww.party.example');
  mock.world.silent = true;
  mock.world.streams.forEach((stream) => stream.destroy());
  await page.locator('.fresh.lost').waitFor({ timeout: 15_000 });
  await sheet.getByRole('button', { name: 'See what changes' }).click();
  await sheet.getByRole('alert').waitFor();
  assert.equal(await sheet.getByLabel('Addresses of the site').inputValue(), 'party.example\nwww.party.example');
  mock.world.silent = false;
  await page.locator('.fresh.live').waitFor({ timeout: 40_000 });
  await sheet.getByRole('button', { name: 'See what changes' }).click();
  await page.getByText('hosts').first().waitFor();
  await page.getByRole('button', { name: 'Change Ada Lind' }).click();
  await sheet.getByLabel('Telephone').fill('+45 12 34 56 78');
  await sheet.getByRole('button', { name: 'See what changes' }).click();
  const outcome = page.locator('section[aria-labelledby=outcome]');
  await outcome.getByText('organisation, contact Ada Lind').waitFor();
  await outcome.getByText('platform public').waitFor();
  await page.getByRole('link', { name: 'Integrity' }).first().click();
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.locator('nav .more').click();
  await page.getByRole('link', { name: 'Settings' }).click();
  await outcome.getByText('organisation, contact Ada Lind').waitFor();
  // What somebody else did meanwhile is not lost.
  mock.world.text += '# by hand\n';
  await outcome.getByRole('button', { name: 'Put it in force' }).first().click();
  await page.locator('.ask button.main').click();
  await page.getByText('the configuration was changed meanwhile').waitFor();
  await outcome.getByRole('button', { name: 'Back to what is written' }).click();
  await outcome.waitFor({ state: 'detached' });
  assert.ok(!mock.world.text.includes('www.'));
}, { width: 360 });

await walk('a form that is closed while it asks changes nothing', async (page, mock, origin) => {
  await page.goto(`${origin}/settings`);
  await page.getByRole('button', { name: 'Change public' }).click();
  const sheet = page.locator('form.sheet');
  await sheet.getByLabel('Addresses of the site').fill('party.example\nwww.party.example');
  let answer;
  await page.route('**/configuration/draft', (route) => new Promise((resolve) => (answer = () => resolve(route.continue()))));
  const asked = page.waitForRequest('**/configuration/draft');
  await sheet.getByRole('button', { name: 'See what changes' }).click();
  await asked;
  await page.keyboard.press('Escape');
  await sheet.waitFor({ state: 'detached' });
  answer();
  await page.waitForTimeout(500);
  assert.equal(await page.locator('section[aria-labelledby=outcome]').count(), 0);
});

await walk('an address that opens something is in no form, and whoever only looks changes nothing', async (page, mock, origin) => {
  await page.goto(`${origin}/settings`);
  await page.getByRole('button', { name: 'Change duty' }).click();
  const address = page.locator('form.sheet').getByLabel('Address to send to');
  assert.equal(await address.inputValue(), '');
  assert.ok(!(await page.locator('form.sheet').innerHTML()).includes('T0/secret'));
  await page.locator('form.sheet').getByLabel('Until').fill('08:00');
  await page.getByRole('button', { name: 'See what changes' }).first().click();
  const outcome = page.locator('section[aria-labelledby=outcome]');
  await outcome.getByText('22:00-08:00').first().waitFor();
  await outcome.getByText('An owner puts it in force.').waitFor();
  assert.equal(await outcome.getByRole('button', { name: 'Put it in force' }).count(), 0);
}, { who: 'viewer' });

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
