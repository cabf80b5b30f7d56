// Before anything is drawn: the light or darkness that the reader chose, or that the system prefers, so that nothing flashes.
(function () {
  let theme = null;
  try {
    theme = localStorage.getItem('portcullis.theme');
  } catch {
    // Storage is closed: the system's preference holds.
  }
  const dark = theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
