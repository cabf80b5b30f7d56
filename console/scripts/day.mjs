// How long a day by the second takes to draw, from the moment its 86,400 points are there until the picture stands. It informs.

import { chromium } from 'playwright-core';
import { start } from '../mock/server.mjs';

const mock = await start({ port: 0 });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
// A desk, and a telephone with a processor four times slower.
for (const [width, slower] of [[1440, 1], [360, 4]]) {
  const page = await (await browser.newContext({ viewport: { width, height: 800 }, serviceWorkers: 'block' })).newPage();
  const origin = `http://127.0.0.1:${mock.port}`;
  await page.request.post(`${origin}/api/v1/session`, { data: { name: 'owner', password: 'a long enough one' } });
  await (await page.context().newCDPSession(page)).send('Emulation.setCPUThrottlingRate', { rate: slower });
  await page.goto(`${origin}/traffic`);
  await page.locator('.place[data-drawn]').waitFor();
  const took = [];
  for (let time = 0; time < 5; time += 1) {
    await page.getByRole('button', { name: '1 hour' }).click();
    await page.waitForTimeout(1000);
    await page.getByRole('button', { name: '24 hours' }).click();
    await page.waitForTimeout(3000 * slower ** 0.5);
    took.push(Number(await page.locator('.place').getAttribute('data-drawn')));
  }
  took.sort((a, b) => a - b);
  console.log(`${width} px, processor ${slower} times slower: ${took[2]} ms [${took[0]}..${took[4]}]`);
}
await browser.close();
mock.stop();
