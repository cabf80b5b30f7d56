// Before anything else: light or darkness, so that nothing flashes; and what every first screen needs is asked for while the rest still loads.
(function () {
  let theme = null;
  try {
    theme = localStorage.getItem('portcullis.theme');
  } catch {
    // Storage is closed: what the system prefers holds.
  }
  const dark = theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';

  // Who is signed in; and how everything stands, which nobody else is told.
  const ask = (path) => fetch(`/api/v1/${path}`, { headers: { Accept: 'application/json' }, credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(20000) });
  const session = ask('session');
  // It may be taken long after it failed, by a page that has a network again: then it is asked for anew.
  const now = session.then((answer) => (answer.ok ? answer.clone().json() : {})).then(({ person }) => (person ? ask('now') : null)).catch(() => null);
  window.early = { session, now };
})();
