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

  // Who is signed in, and how everything stands for them.
  const path = 'session?now=true';
  const options = { headers: { Accept: 'application/json' }, credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(20000) };
  window.early = { [path]: fetch(`/api/v1/${path}`, options) };
})();
