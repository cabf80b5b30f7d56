import { expect, test } from 'vitest';
import { parts, type Evidence } from './report';

const of = (words: string, indices: number[], whole: boolean): string[] =>
  parts({ records: indices.length, indices, whole, words } satisfies Evidence).map(({ text, index }) => (index === null ? text : `[${index}]`));

test.each<[string, number[], boolean, string[]]>([
  ['records 4, 7 and 9', [4, 7, 9], true, ['records ', '[4]', ', ', '[7]', ' and ', '[9]']],
  ['record 5761', [5761], true, ['record ', '[5761]']],
  ['5 records from 5 to 25406', [5, 25406], false, ['5', ' records from ', '[5]', ' to ', '[25406]']],
  ['5 records from 1 to 5', [1, 2, 3, 4, 5], true, ['5', ' records from ', '[1]', ' to ', '[5]']],
  ['768 records from 5779 to 25406', [5779], false, ['768', ' records from ', '[5779]', ' to ', '25406']],
  ['nothing', [], true, ['nothing']],
])('%s', (words, indices, whole, expected) => expect(of(words, indices, whole)).toEqual(expected));
