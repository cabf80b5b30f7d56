// Passkeys, in the JSON forms of WebAuthn Level 3. A browser without them is not offered any.

import type { Done, Session } from './api';
import { ask } from './http';

type Json = Record<string, unknown>;
interface Parser {
  parseCreationOptionsFromJSON?(options: Json): PublicKeyCredentialCreationOptions;
  parseRequestOptionsFromJSON?(options: Json): PublicKeyCredentialRequestOptions;
}

/** Whether this browser can. */
export function passkeysHere(): boolean {
  return typeof PublicKeyCredential !== 'undefined' && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
}

/** Options stand by themselves or as `publicKey`. */
function inner(options: Json): Json {
  return (options.publicKey as Json | undefined) ?? options;
}

function parser(): Parser {
  return PublicKeyCredential as unknown as Parser;
}

function json(credential: Credential | null): unknown {
  if (!credential) throw new Error('no passkey');
  return (credential as PublicKeyCredential & { toJSON(): unknown }).toJSON();
}

export async function byPasskey(): Promise<Session> {
  const publicKey = parser().parseRequestOptionsFromJSON?.(inner(await ask<Json>('POST', 'session/passkey')));
  if (!publicKey) throw new Error('no passkeys here');
  return ask<Session>('PUT', 'session/passkey', json(await navigator.credentials.get({ publicKey })));
}

export async function newPasskey(): Promise<Done> {
  const publicKey = parser().parseCreationOptionsFromJSON?.(inner(await ask<Json>('POST', 'session/passkeys')));
  if (!publicKey) throw new Error('no passkeys here');
  return ask<Done>('PUT', 'session/passkeys', json(await navigator.credentials.create({ publicKey })));
}
