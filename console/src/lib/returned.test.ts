import { expect, test } from 'vitest';
import { returned } from './returned';

test.each([
  ['?code=c&state=s', { state: 's', code: 'c', error: null, iss: null }],
  ['?state=s&error=access_denied&error_description=no', { state: 's', code: null, error: 'access_denied', iss: null }],
  ['?code=a%2Bb%20c&state=s&iss=https%3A%2F%2Fh', { state: 's', code: 'a+b c', error: null, iss: 'https://h' }],
  ['?code=c&code=d&state=s', { state: 's', code: null, error: null, iss: null }],
  ['', { state: '', code: null, error: null, iss: null }],
])('%s', (search, expected) => expect(returned(search)).toEqual(expected));
