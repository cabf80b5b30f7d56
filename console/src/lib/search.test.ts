import { expect, test } from 'vitest';
import { address, folded, NOTHING, wishOf } from './search';

const frame = { platform: '', from: 5, until: 9 };

test.each([
  ['nothing', NOTHING, frame, null, 'requests?from=5&until=9&most=50'],
  ['a network, and a text with spaces', { ...NOTHING, client: ' 203.0.113.0/24 ', text: 'a b&c' }, frame, null, 'requests?from=5&until=9&most=50&text=a+b%26c&client=203.0.113.0%2F24'],
  ['a platform, and what is behind', NOTHING, { ...frame, platform: 'public' }, 'a-1', 'requests?from=5&until=9&most=50&platform=public&cursor=a-1'],
])('%s is asked for', (_, wish, frame, cursor, expected) => expect(address(wish, frame, cursor)).toBe(expected));

test('what is filled out of sight is counted', () => {
  expect(folded(NOTHING)).toBe(0);
  expect(folded({ ...NOTHING, text: 'x', reason: 'challenge', status: ' ', print: 't13' })).toBe(2);
});

test.each([
  ['network', '203.0.113.0/24', { client: '203.0.113.0/24' }],
  ['address', '2001:db8::7', { client: '2001:db8::7' }],
  ['verdict', 'refused', { verdict: 'refused' }],
  ['status', '429', { status: '429' }],
  ['reason', '', null],
  ['class', 'page', null],
  ['country', 'DK', null],
])('a ranking by %s leads to decisions', (by, value, wish) => expect(wishOf(by, value)).toEqual(wish));
