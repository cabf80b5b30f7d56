// What the first screen makes of a state: which platform comes first, who is hurt, what holds somebody. Pure.

import type { Advice, Audience, Measure, Now, Origin, Platform, Rates } from './api';
import type { Moment } from './live';

/** The most urgent first. */
export const POSTURES = ['attack', 'overload', 'elevated', 'recovery', 'normal'] as const;
export type Posture = (typeof POSTURES)[number];

/** A posture that a later gate may know and this page does not is shown as one to look at. */
export function posture(name: string): Posture {
  return POSTURES.find((known) => known === name) ?? 'elevated';
}

export function byUrgency(platforms: readonly Platform[]): Platform[] {
  const urgency = (platform: Platform) => POSTURES.indexOf(posture(platform.posture));
  return [...platforms].sort((a, b) => urgency(a) - urgency(b));
}

export interface Harm {
  /** Requests of people who have shown that they are, or who are vouched for. */
  requests: number;
  refused: number;
  held: number;
  delayed: number;
  visitors: number;
  touched: number;
}

/** What befell known people. Strangers are no proof of harm: an attack is made of them. */
export function harm(people: readonly Audience[]): Harm {
  const sum: Harm = { requests: 0, refused: 0, held: 0, delayed: 0, visitors: 0, touched: 0 };
  for (const audience of people.filter(({ known }) => known)) {
    sum.requests += audience.requests;
    sum.refused += audience.refused;
    sum.held += audience.held;
    sum.delayed += audience.delayed;
    sum.visitors += audience.visitors[0];
    sum.touched += audience.visitors[1];
  }
  return sum;
}

export function harmOfAll(platforms: readonly Platform[]): Harm {
  return harm(platforms.flatMap(({ people }) => people));
}

/** Known people first, then by how many were touched. */
export function audiences(people: readonly Audience[]): Audience[] {
  const touched = ({ visitors }: Audience) => visitors[1];
  return people
    .filter(({ requests }) => requests > 0)
    .sort((a, b) => Number(b.known) - Number(a.known) || touched(b) - touched(a) || b.requests - a.requests);
}

export const OUTCOMES = ['served', 'delayed', 'challenged', 'roomed', 'refused', 'failed'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface Segment {
  outcome: Outcome;
  value: number;
  /** Of all that came. */
  share: number;
}

/** What became of requests, each counted once: who waited and was served is among the delayed alone. */
export function segments(rates: Rates): Segment[] {
  const value: Record<Outcome, number> = { ...rates, served: Math.max(0, rates.served - rates.delayed) };
  const all = OUTCOMES.reduce((sum, outcome) => sum + value[outcome], 0);
  return OUTCOMES.map((outcome) => ({ outcome, value: value[outcome], share: all > 0 ? value[outcome] / all : 0 }));
}

/** What of all that comes is served each second, and what is not: challenged, in the waiting room or refused. */
export function flow(platforms: readonly Platform[]): { served: number; back: number } {
  const all = platforms.flatMap(({ rates }) => rates ?? []);
  const sum = (of: (rates: Rates) => number) => all.reduce((total, rates) => total + of(rates), 0);
  return { served: sum(({ served }) => served), back: sum(({ challenged, roomed, refused }) => challenged + roomed + refused) };
}

const ACTING = ['enforced', 'relaxing', 'on'];

/** Whether it holds anybody now. */
export function acts(measure: Measure): boolean {
  return ACTING.includes(measure.phase);
}

/** What acts first, then what could, then what was undone. */
export function byEffect(measures: readonly Measure[]): Measure[] {
  const rank = (measure: Measure) => (acts(measure) ? 0 : measure.phase === 'undone' ? 2 : 1);
  return [...measures].sort((a, b) => rank(a) - rank(b) || b.matched - a.matched);
}

export function findMeasure(now: Now, id: string): { platform: Platform; measure: Measure } | null {
  for (const platform of now.platforms) {
    const measure = platform.measures.find((one) => one.id === id);
    if (measure) return { platform, measure };
  }
  return null;
}

export type Health = 'well' | 'part' | 'none' | 'unknown';

export function health(origins: readonly Origin[]): Health {
  const seen = origins.filter(({ healthy }) => healthy !== null);
  if (seen.length === 0) return 'unknown';
  const well = seen.filter(({ healthy }) => healthy).length;
  if (well === 0) return 'none';
  return well === origins.length ? 'well' : 'part';
}

/** What the first sentence is about. */
export interface Headline {
  is: Posture | 'empty' | 'outage' | 'part';
  platform: Platform | null;
}

/** A platform that nobody reaches is worse than any posture, and one with a server less is not calm. */
export function headline(platforms: readonly Platform[]): Headline {
  const urgent = byUrgency(platforms);
  const [worst] = urgent;
  if (!worst) return { is: 'empty', platform: null };
  const out = urgent.find(({ origins }) => origins.length > 0 && origins.every(({ healthy }) => healthy === false));
  if (out) return { is: 'outage', platform: out };
  const stands = posture(worst.posture);
  const less = stands === 'normal' ? urgent.find(({ origins }) => origins.some(({ healthy }) => healthy === false)) : undefined;
  return less ? { is: 'part', platform: less } : { is: stands, platform: worst };
}

/** What follows from doing nothing, or what else would help, is no cost of what is advised. */
const NO_COSTS = ['more-room', 'others-carry', 'nobody-served', 'unwatched'];

export function costs(advice: Advice): boolean {
  return advice.cost !== '' && !NO_COSTS.includes(advice.price?.code ?? '');
}

/** Where an advice leads, for what a view of its own shows. */
export function whither(advice: Advice, now: Now): string | null {
  switch (advice.kind) {
    case 'drill':
      return '/integrity';
    case 'close':
    case 'report':
      return advice.about ? `/incidents/${encodeURIComponent(advice.about)}` : '/incidents';
    case 'look':
      return now.platforms.some(({ name }) => name === advice.about) ? `/traffic?platform=${encodeURIComponent(advice.about)}` : null;
    default:
      return null;
  }
}

export interface Spark {
  /** Outline of all that came, and of what was served, as paths in a box of `seconds` by 100. */
  came: string;
  served: string;
  most: number;
}

/** The last seconds as two areas. Seconds of which nothing is known are gaps at the bottom. */
export function spark(line: readonly Moment[], until: number, seconds: number): Spark {
  const from = until - seconds * 1000;
  const shown = line.filter(({ at }) => at > from && at <= until);
  const most = Math.max(1, ...shown.map(({ rates }) => rates.requests));
  const path = (value: (rates: Rates) => number) => {
    const points = shown.map(({ at, rates }) => `${round((at - from) / 1000)} ${round(100 - (value(rates) / most) * 96)}`);
    const [first, last] = [shown[0], shown.at(-1)];
    if (!first || !last) return '';
    return `M${round((first.at - from) / 1000)} 100L${points.join('L')}L${round((last.at - from) / 1000)} 100Z`;
  };
  return { came: path((rates) => rates.requests), served: path((rates) => rates.served), most };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
