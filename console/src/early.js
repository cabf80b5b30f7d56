// Before anything else: light or darkness, so that nothing flashes; and what every first screen needs is asked for while the rest still loads.
(function () {
  const kept = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      // Storage is closed: what the system and the browser prefer holds.
      return null;
    }
  };

  const theme = kept('portcullis.theme');
  const dark = theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';

  // The words, in the language that the page will choose, too.
  const wanted = [kept('portcullis.language')].filter((one) => /^(en|da)$/.test(one)).concat(navigator.languages);
  const language = /^(da|nb)/i.test(wanted.find((tag) => /^(en|da|nb)/i.test(tag))) ? 'da' : 'en';
  const words = document.currentScript.dataset[language];
  if (words) document.head.append(Object.assign(document.createElement('link'), { rel: 'modulepreload', href: words }));

  // Who is signed in; and how everything stands, which nobody else is told.
  const ask = (path) => fetch(`/api/v1/${path}`, { headers: { Accept: 'application/json' }, credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(20000) });
  const session = ask('session');
  // It may be taken long after it failed, by a page that has a network again: then it is asked for anew.
  const now = session.then((answer) => (answer.ok ? answer.clone().json() : {})).then(({ person }) => (person ? ask('now') : null)).catch(() => null);
  window.early = { session, now };
})();
