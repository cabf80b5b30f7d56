// What a provider has sent a browser back with, as far as the gate reads it.

import type { OidcReturn } from './api';

/** Of an address, what stands behind `?`. A member that stands there twice is nobody's. */
export function returned(search: string): OidcReturn {
  const query = new URLSearchParams(search);
  const one = (name: string) => (query.getAll(name).length === 1 ? query.get(name) : null);
  return { state: one('state') ?? '', code: one('code'), error: one('error'), iss: one('iss') };
}
