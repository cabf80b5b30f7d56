// What a slow telephone fetches until it has the whole first screen, and how much of that before its first sentence, compressed as the gate sends it.
// Above the budget it fails.

import { readFileSync, readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = 150 * 1024;
/** ECharts alone; nobody waits for it but whoever opens the traffic. */
const CHART = 200 * 1024;

const dist = new URL('../dist/', import.meta.url);
const read = (name) => readFileSync(new URL(name, dist));
const size = (name) => gzipSync(read(name), { level: 9 }).length;

const index = read('index.html').toString();
const found = new Set(['index.html', ...[...index.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css|svg))"/g)].map((match) => match[1])]);
// Whatever an entry imports without being asked comes with it.
for (const name of found) {
  if (!name.endsWith('.js')) continue;
  const text = read(name).toString();
  for (const match of text.matchAll(/(?:\bfrom|\bimport)\s*["']\.\/([^"']+\.js)["']/g)) found.add(`assets/${match[1]}`);
}
const sentence = new Set(found);
for (const name of readdirSync(new URL('assets/', dist))) if (/^(en|below)-.*\.(js|css)$/i.test(name)) found.add(`assets/${name}`);

let [total, before] = [0, 0];
for (const name of found) {
  total += size(name);
  if (sentence.has(name)) before += size(name);
  console.log(`${String(size(name)).padStart(8)}  ${name}`);
}
const chart = readdirSync(new URL('assets/', dist)).filter((name) => /^chart-.*\.js$/.test(name)).reduce((sum, name) => sum + size(`assets/${name}`), 0);
console.log(`${String(before).padStart(8)}  first sentence\n${String(total).padStart(8)}  first view, of ${BUDGET}\n${String(chart).padStart(8)}  charts, later, of ${CHART}`);
if (found.size < 8 || chart === 0) throw new Error('the build is not what this script knows: it measures too little');
if (total > BUDGET || chart > CHART) {
  console.error('over the budget');
  process.exitCode = 1;
}
