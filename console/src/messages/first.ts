// The messages that the first screen says before it is whole, by their first names. A test holds the list against what its files say.

export const FIRST = [
  'act', 'action', 'advice', 'advise', 'approvals', 'away', 'choice', 'clause', 'frame', 'fresh', 'hero', 'hurt', 'kind', 'lost', 'nav', 'next', 'passkey', 'posture', 'reading', 'role', 'signin', 'span', 'trouble',
  'undo', 'wait', 'welcome',
] as const;
