import { expect, test } from 'vitest';
import { sha256 } from './digest';

// FIPS 180-4's own examples.
test.each([
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
])('of %o', async (text, expected) => {
  const bytes = new TextEncoder().encode(text);
  expect(await sha256(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer)).toBe(expected);
});
