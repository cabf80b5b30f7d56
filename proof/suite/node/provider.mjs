// A certified OpenID provider (panva's oidc-provider) with three people, for the suite's own sign-in to the console.
//
//   node provider.mjs PACKAGES PORT BACK
//
// PACKAGES is where the lock file was installed, BACK where browsers are sent. Whoever signs in gives a name and any password:
// `ane` is in the group gate-operators, `vera` in none; what is made for `elsewhere` names another program, signed by the same key.

import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [packages, port, back] = process.argv.slice(2);
const from = (path) => import(pathToFileURL(`${packages}/node_modules/${path}`));
const { default: Provider } = await from('oidc-provider/lib/index.js');
const { SignJWT, decodeJwt, decodeProtectedHeader } = await from('jose/dist/webapi/index.js');

const issuer = `http://127.0.0.1:${port}`;
const GROUPS = { ane: ['staff', 'gate-operators'], elsewhere: ['gate-owners'] };
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const provider = new Provider(issuer, {
  clients: [{ client_id: 'portcullis', client_secret: 'heron lantern gravel soup', redirect_uris: [back], id_token_signed_response_alg: 'ES256' }],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }] },
  pkce: { required: () => true },
  scopes: ['openid', 'profile', 'email', 'groups'],
  claims: { profile: ['preferred_username'], email: ['email', 'email_verified'], groups: ['groups'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, email: `${id}@example.org`, email_verified: true, groups: GROUPS[id] ?? [] }),
  }),
  // Whoever signs in agrees to what the console asks for.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email groups');
    await grant.save();
    return grant;
  },
  cookies: { keys: ['of a test'] },
});

provider.use(async (ctx, next) => {
  await next();
  const token = ctx.path === '/token' ? ctx.body?.id_token : undefined;
  if (!token || decodeJwt(token).sub !== 'elsewhere') return;
  ctx.body = { ...ctx.body, id_token: await new SignJWT({ ...decodeJwt(token), aud: 'shop' }).setProtectedHeader(decodeProtectedHeader(token)).sign(privateKey) };
});

provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
