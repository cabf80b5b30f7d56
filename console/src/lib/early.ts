// What src/early.js asked for while this was loading. Each answer is taken once, and so is that there was none.

declare global {
  interface Window {
    early?: Record<string, Promise<Response>>;
  }
}

/** The answer of the API to `path`, where it was asked for. Whoever waited in vain waits no second time. */
export async function early(path: string): Promise<Response | null> {
  const asked = globalThis.window?.early?.[path];
  if (!asked) return null;
  delete window.early?.[path];
  return asked;
}
