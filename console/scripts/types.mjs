// Writes src/lib/generated.ts from the document that a running gate serves. `npm run types -- URL`, or PORTCULLIS_API.

import { writeFile } from 'node:fs/promises';
import openapi, { astToString } from 'openapi-typescript';

const gate = process.argv[2] ?? process.env.PORTCULLIS_API ?? 'http://127.0.0.1:4180';
const tree = await openapi(new URL('/api/v1/openapi.json', gate));
await writeFile(new URL('../src/lib/generated.ts', import.meta.url), `// Made by npm run types. Not to be edited.\n\n${astToString(tree)}`);
