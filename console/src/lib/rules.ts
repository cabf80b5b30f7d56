// What a screen makes of rules: how a route is inspected, which changes make sense there, whom it concerns. Pure.

import type { OwnRule, Release, RouteFindings, RuleChange } from './api';

/** What becomes of what is found on a route. */
export type Mode = 'refuses' | 'observes' | 'partly' | 'off' | 'gone';

export function mode({ detection, rules }: Pick<RouteFindings, 'detection' | 'rules'>): Mode {
  if (detection === '') return 'gone';
  const parts = [detection, rules].filter((part) => part !== 'none' && part !== 'off');
  if (parts.length === 0) return 'off';
  if (parts.every((part) => part === 'enforce')) return 'refuses';
  return parts.every((part) => part === 'observe') ? 'observes' : 'partly';
}

/** The steps from observing to refusing and back that there are on a route. */
export function steps(of: RouteFindings): RuleChange[] {
  const parts = [of.detection, of.rules];
  const change = (kind: string): RuleChange => ({ kind, platform: of.platform, route: of.route });
  return [...(parts.includes('observe') ? [change('refuse')] : []), ...(parts.includes('enforce') ? [change('observe')] : [])];
}

/** The exclusions of a proposal as a change; none where the configuration would not take them, or they let nothing pass. */
export function release(of: Release): RuleChange | null {
  if (!of.platform || !of.route || of.refused !== null || of.releases.records === 0) return null;
  return { kind: 'exclude', platform: of.platform, route: of.route, exclude: of.exclude };
}

/** A line of the configuration. */
export function exclusions(list: readonly string[]): string {
  return `exclude = [${list.map((one) => (one.includes('\\') ? `'${one}'` : `"${one}"`)).join(', ')}]`;
}

/** Who is known first: those whom a refusal hurts. */
export const AUDIENCES = ['known', 'vouched', 'visitor', 'crawler', 'stranger'] as const;

export function whom(audience: Record<string, number>): [string, number][] {
  const rank = (name: string) => (AUDIENCES as readonly string[]).indexOf(name);
  return Object.entries(audience)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => rank(a) - rank(b));
}

/** The gate's own rules: in force, on trial, withdrawn. */
export type Life = 'force' | 'trial' | 'withdrawn';

export function life({ rule }: OwnRule): Life {
  return rule.phase === 'enforced' || rule.phase === 'relaxing' ? 'force' : rule.phase === 'shadow' ? 'trial' : 'withdrawn';
}

export function byLife(own: readonly OwnRule[]): OwnRule[] {
  const rank: Record<Life, number> = { force: 0, trial: 1, withdrawn: 2 };
  return [...own].sort((a, b) => rank[life(a)] - rank[life(b)] || b.rule.matched - a.rule.matched);
}
