// Where the console begins.

import { mount } from 'svelte';
import App from './App.svelte';
import { startClock, startLive } from './lib/live.svelte';
import { startRoutes } from './lib/route.svelte';
import { me, startSession } from './lib/session.svelte';
import { startTheme } from './lib/theme.svelte';
import { startLanguage } from './lib/words.svelte';
import './styles/tokens.css';
import './styles/base.css';
import './styles/forms.css';
import './styles/parts.css';
import './styles/print.css';

/** Milliseconds that the first drawing waits for an answer of the gate. */
const SOON = 250;

startTheme();
startLanguage();
startRoutes();
startClock();
// Where the gate answers at once the first screen is drawn once.
await Promise.race([begin(), new Promise((resolve) => setTimeout(resolve, SOON))]);
mount(App, { target: document.getElementById('app') ?? document.body });
if (import.meta.env.PROD && 'serviceWorker' in navigator) void navigator.serviceWorker.register('/sw.js').catch(() => {});

async function begin(): Promise<void> {
  const first = await startSession();
  if (me.person) startLive(first);
}
