// Passkeys, in the JSON forms of WebAuthn Level 3. A browser without them is not offered any.

import type { Done, PasskeyMade, PasskeyUsed, Session } from './api';
import { ask } from './http';

/** Younger than TypeScript's own list of what browsers have. */
interface Reader {
  parseCreationOptionsFromJSON(options: object): PublicKeyCredentialCreationOptions;
  parseRequestOptionsFromJSON(options: object): PublicKeyCredentialRequestOptions;
}

/** Whether this browser can. */
export function passkeysHere(): boolean {
  return typeof PublicKeyCredential !== 'undefined' && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
}

/** Whether nobody confirmed at the device, or it has none that fits: browsers tell no more. */
export function isUnconfirmed(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'NotAllowedError';
}

export async function byPasskey(): Promise<Session> {
  const publicKey = reader().parseRequestOptionsFromJSON(await ask<object>('POST', 'session/passkey'));
  return ask<Session>('PUT', 'session/passkey', json<PasskeyUsed>(await navigator.credentials.get({ publicKey })));
}

export async function newPasskey(name: string): Promise<Done> {
  const publicKey = reader().parseCreationOptionsFromJSON(await ask<object>('POST', 'session/passkeys'));
  const made = json<PasskeyMade>(await navigator.credentials.create({ publicKey }));
  return ask<Done>('PUT', 'session/passkeys', name ? { ...made, name } : made);
}

function reader(): Reader {
  return PublicKeyCredential as unknown as Reader;
}

function json<T>(credential: Credential | null): T {
  if (!credential) throw new DOMException('no passkey', 'NotAllowedError');
  return (credential as PublicKeyCredential & { toJSON(): T }).toJSON();
}
