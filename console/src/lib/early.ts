// What src/early.js asked for while this was loading. Each answer is taken once; what is late or went wrong is asked for anew.

declare global {
  interface Window {
    early?: Record<string, Promise<Response | null>>;
  }
}

/** The answer of the API to `path`, where it was asked for. */
export async function early(path: string): Promise<Response | null> {
  const asked = globalThis.window?.early?.[path];
  if (!asked) return null;
  delete window.early?.[path];
  return asked.catch(() => null);
}
