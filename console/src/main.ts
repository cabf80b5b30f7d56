// Where the console begins.

import { mount } from 'svelte';
import App from './App.svelte';
import { startClock } from './lib/live.svelte';
import { startRoutes } from './lib/route.svelte';
import { startSession } from './lib/session.svelte';
import { startTheme } from './lib/theme.svelte';
import { startLanguage } from './lib/words.svelte';
import './styles/tokens.css';
import './styles/base.css';
import './styles/forms.css';
import './styles/parts.css';
import './styles/print.css';

startTheme();
startRoutes();
startClock();
// The first words and the session are asked for at the same time: a slow telephone waits once.
void startSession();
await startLanguage();
mount(App, { target: document.getElementById('app') ?? document.body });
if (import.meta.env.PROD && 'serviceWorker' in navigator) void navigator.serviceWorker.register('/sw.js').catch(() => {});
