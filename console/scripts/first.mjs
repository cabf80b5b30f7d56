// How long the first screen takes on a slow telephone that has never been here: until its first sentence stands, five times. It informs.

import { chromium } from 'playwright-core';
import { start } from '../mock/server.mjs';

/** As Lighthouse has a telephone: a processor four times slower (or as often as is said), 1.6 Mbit/s, and 150 ms there and back. */
const SLOWER = Number(process.argv[2] ?? 4);
const NETWORK = { offline: false, latency: 150, downloadThroughput: (1.6e6 / 8) * 0.9, uploadThroughput: (750e3 / 8) * 0.9 };

/** How fast a page's processor is, by the work of Lighthouse's BenchmarkIndex: DevTools takes 1,000 for a telephone of the middle and 264 for a slow one. */
async function index(page) {
  return page.evaluate(() => {
    const rate = (work) => {
      const begun = performance.now();
      let done = 0;
      while (done % 10 || performance.now() - begun < 500) work((done += 1));
      return (done * 100) / (performance.now() - begun);
    };
    const letters = rate(() => {
      let text = '';
      for (let at = 0; at < 10_000; at += 1) text += 'a';
      return text.length;
    });
    const lists = [0, 1].map(() => Array.from({ length: 100_000 }, (_, at) => at));
    const copies = rate((nth) => {
      const [from, to] = nth % 2 ? lists : [lists[1], lists[0]];
      for (let at = 0; at < from.length; at += 1) to[at] = from[at];
    });
    return Math.round((letters + copies) / 2);
  });
}

const mock = await start({ port: 0 });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const origin = `http://127.0.0.1:${mock.port}`;
for (const [where, network] of [['beside the gate', null], ['by 1.6 Mbit/s and 150 ms', NETWORK]]) {
  const [took, speeds] = [[], []];
  for (let time = 0; time < 5; time += 1) {
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, serviceWorkers: 'block' });
    const page = await context.newPage();
    await page.request.post(`${origin}/api/v1/session`, { data: { name: 'owner', password: 'a long enough one' } });
    const session = await context.newCDPSession(page);
    await session.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
    if (network) {
      await session.send('Network.enable');
      await session.send('Network.emulateNetworkConditions', network);
    }
    // As the browser tells of that element: a timer would come after what is drawn next.
    await page.addInitScript(() => {
      window.painted = new Promise((resolve) => {
        new PerformanceObserver((list) => resolve(list.getEntries()[0].startTime)).observe({ type: 'element', buffered: true });
      });
    });
    await page.goto(origin, { waitUntil: 'commit' });
    took.push(Math.round(await page.evaluate(() => window.painted)));
    speeds.push(await index(page));
    await context.close();
  }
  [took, speeds].forEach((all) => all.sort((a, b) => a - b));
  console.log(`${where}: ${took[2]} ms [${took[0]}..${took[4]}], on a processor with an index of ${speeds[2]} [${speeds[0]}..${speeds[4]}]`);
}
await browser.close();
mock.stop();
