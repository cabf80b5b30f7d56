// The picture of the README: the demo's own console while it plays an attack on itself. `make picture` starts the demo and calls this.
//
//   node scripts/picture.mjs LINK FILE

import { chromium } from 'playwright-core';

const [link, file] = process.argv.slice(2);
// For the gate to learn what is ordinary; and for the attack to be seen, held and told.
const LEARNS = 75_000;
const HOLDS = 25_000;

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  const page = await browser.newPage({ viewport: { width: 1360, height: 860 } });
  await page.goto(link);
  await page.getByLabel('Name').fill('Ane');
  await page.getByLabel('Password').fill('heron lantern gravel soup');
  await page.getByRole('button', { name: 'Make' }).or(page.locator('button.main')).first().click();
  await page.getByText('Second factor').or(page.getByText('second factor')).first().waitFor();
  await page.goto(new URL('/', link).href);
  const play = page.getByRole('button', { name: 'Play an attack' });
  await play.waitFor();
  await page.waitForTimeout(LEARNS);
  await play.click();
  await page.getByRole('button', { name: 'Play it' }).click();
  await page.getByText('is under attack').first().waitFor({ timeout: HOLDS });
  await page.waitForTimeout(HOLDS / 2);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: file });
} finally {
  await browser.close();
}
