// The service worker: the console opens without a network. What the API says is never kept here; the last state is the page's.

const SHELF = 'console-__VERSION__';
const FILES = ['__FILES__'];
/** A page waits so long for the gate before the kept shell opens, in milliseconds. */
const PATIENCE = 1500;

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(SHELF)
      .then((shelf) => shelf.addAll(FILES))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener('activate', (event) => {
  const old = (name) => name.startsWith('console-') && name !== SHELF;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (request.mode === 'navigate' && !url.pathname.startsWith('/api/')) event.respondWith(page(request));
  else if (url.pathname.startsWith('/assets/')) event.respondWith(kept(request));
});

/** The gate's page where it answers in time, else the kept one. */
async function page(request) {
  const shell = await caches.match('/');
  if (!shell) return fetch(request);
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, shell));
  const fresh = fetch(request).then((answer) => (answer.ok ? answer : shell), () => shell);
  return Promise.race([fresh, late]);
}

/** Names of assets hold their hash: what is kept is right for ever. */
async function kept(request) {
  const found = await caches.match(request);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) (await caches.open(SHELF)).put(request, answer.clone());
  return answer;
}
