// What is asked for when decisions are searched. Pure.

export interface Wish {
  text: string;
  client: string;
  verdict: string;
  reason: string;
  status: string;
  print: string;
  route: string;
}

export const NOTHING: Wish = { text: '', client: '', verdict: '', reason: '', status: '', print: '', route: '' };

/** Rows that one answer has. */
export const PAGE = 50;

export interface Frame {
  platform: string;
  from: number;
  until: number;
}

/** The address of an answer: what was left empty is not asked, and what is behind a cursor goes on there. */
export function address(wish: Wish, { platform, from, until }: Frame, cursor: string | null): string {
  const query = new URLSearchParams({ from: String(from), until: String(until), most: String(PAGE) });
  const all: [string, string][] = [['platform', platform], ...Object.entries(wish), ['cursor', cursor ?? '']];
  for (const [name, value] of all) if (value.trim() !== '') query.set(name, value.trim());
  return `requests?${query}`;
}

/** How many of the lesser known fields are filled: they are folded, and must not be forgotten there. */
export function folded(wish: Wish): number {
  return [wish.reason, wish.status, wish.print, wish.route].filter((value) => value.trim() !== '').length;
}

/** What a value of a ranking is looked for by; nothing where decisions cannot be searched by it. */
export function wishOf(by: string, value: string): Partial<Wish> | null {
  if (value === '') return null;
  switch (by) {
    case 'network':
    case 'address':
      return { client: value };
    case 'print':
    case 'route':
    case 'reason':
    case 'verdict':
    case 'status':
      return { [by]: value };
    default:
      return null;
  }
}
