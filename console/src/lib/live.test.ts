// The stream as it comes, breaks, and is resumed, with a clock that the test holds.

import { describe, expect, test } from 'vitest';
import type { Now, Platform } from './api';
import { age, DEAD, isOld, KEPT, NOTHING, pack, POLL, STALE, Stream, take, TOLD, unpack, type Live, type Source } from './live';

const platform = (requests: number): Platform =>
  ({ name: 'public', posture: 'normal', rates: { requests, served: requests, delayed: 0, challenged: 0, roomed: 0, refused: 0, failed: 0 } }) as Platform;
const state = (at: number, requests = 1): Now => ({ at, node: 'gate-1', platforms: [platform(requests)] }) as Now;

class FakeSource implements Source {
  readyState = 1;
  closed = false;
  #listeners: [string, (event: MessageEvent<string>) => void][] = [];
  addEventListener(kind: string, listen: (event: MessageEvent<string>) => void) {
    this.#listeners.push([kind, listen]);
  }
  close() {
    this.closed = true;
    this.readyState = 2;
  }
  say(kind: string, data: string, lastEventId = '') {
    for (const [wanted, listen] of this.#listeners) if (wanted === kind) listen({ data, lastEventId } as MessageEvent<string>);
  }
}

function world() {
  const it = {
    clock: 1_000_000,
    sources: [] as FakeSource[],
    opened: [] as number[],
    polls: 0,
    answer: (): Promise<Now> => Promise.reject(new Error('down')),
    last: NOTHING as Live,
    stream: null as unknown as Stream,
    get source() {
      return it.sources.at(-1) as FakeSource;
    },
    async pass(seconds: number) {
      for (let passed = 0; passed < seconds; passed += 1) {
        it.clock += 1000;
        it.stream.beat();
        await Promise.resolve();
        await Promise.resolve();
      }
    },
  };
  it.stream = new Stream(NOTHING, {
    open: (last) => (it.opened.push(last), it.sources.push(new FakeSource()), it.source),
    poll: () => ((it.polls += 1), it.answer()),
    clock: () => it.clock,
    random: () => 1,
    changed: (live) => (it.last = live),
  });
  it.stream.start();
  return it;
}

const told = (words: string) => JSON.stringify({ at: 1, kind: 'act', platform: null, by: 'gate', words });

describe('the stream', () => {
  test('brings states and what happened, newest first', () => {
    const it = world();
    it.source.say('now', JSON.stringify(state(5000)));
    it.source.say('happening', told('one'), '10');
    it.source.say('happening', told('two'), '11');
    expect(it.last.link).toBe('stream');
    expect(it.last.now?.at).toBe(5000);
    expect(it.last.happenings.map(({ words }) => words)).toEqual(['two', 'one']);
  });

  test('that a browser resumes by itself is left to it', async () => {
    const it = world();
    it.source.say('now', JSON.stringify(state(1)));
    it.source.readyState = 0;
    it.source.say('error', '');
    await it.pass(3);
    expect(it.sources).toHaveLength(1);
  });

  test('that was closed is opened anew, later each time, and tells nothing twice', async () => {
    const it = world();
    it.source.say('happening', told('one'), '10');
    const opened = [];
    for (let failure = 0; failure < 4; failure += 1) {
      it.source.readyState = 2;
      it.source.say('error', '');
      const before = it.sources.length;
      let waited = 0;
      while (it.sources.length === before) {
        await it.pass(1);
        waited += 1;
      }
      opened.push(waited);
    }
    expect(opened).toEqual([1, 2, 4, 8]);
    expect(it.opened).toEqual([0, 10, 10, 10, 10]);
    it.source.say('happening', told('one'), '10');
    it.source.say('happening', told('two'), '11');
    expect(it.last.happenings.map(({ words }) => words)).toEqual(['two', 'one']);
  });

  test('that falls silent is called old, asked instead, and at last taken for dead', async () => {
    const it = world();
    it.source.say('now', JSON.stringify(state(1)));
    await it.pass(STALE / 1000);
    expect(it.last.link).toBe('stream');
    expect(it.polls).toBe(0);
    await it.pass(1);
    expect(it.last.link).toBe('lost');
    expect(isOld(it.last, it.clock)).toBe(true);
    expect(it.polls).toBe(1);
    it.answer = () => Promise.resolve(state(9000));
    await it.pass(POLL / 1000);
    expect(it.last.link).toBe('asked');
    expect(it.last.now?.at).toBe(9000);
    it.answer = () => Promise.reject(new Error('down'));
    await it.pass(DEAD / 1000 + 3);
    expect(it.sources.length).toBeGreaterThan(1);
    expect(it.sources[0]?.closed).toBe(true);
    it.source.say('now', JSON.stringify(state(99_000)));
    expect(it.last.link).toBe('stream');
  });

  test('takes in a state that was asked for beside it', async () => {
    const it = world();
    it.stream.told(state(3000));
    expect([it.last.now?.at, it.last.link]).toEqual([3000, 'opening']);
    it.source.say('now', JSON.stringify(state(5000)));
    it.stream.told(state(4000));
    expect([it.last.now?.at, it.last.link]).toEqual([5000, 'stream']);
    await it.pass(STALE / 1000 + 1);
    expect(it.last.link).toBe('lost');
    it.stream.told(state(6000));
    expect([it.last.now?.at, it.last.link]).toEqual([6000, 'asked']);
  });

  test('that was replaced is not heard any more', async () => {
    const it = world();
    const old = it.source;
    it.stream.start();
    old.say('now', JSON.stringify(state(1)));
    expect(it.last.now).toBeNull();
  });

  test('that talks nonsense is opened anew, and does no harm', async () => {
    const it = world();
    it.source.say('now', JSON.stringify(state(7)));
    it.source.say('now', '{"at": 8, "platforms"');
    expect(it.last.now?.at).toBe(7);
    await it.pass(2);
    expect(it.sources).toHaveLength(2);
  });

  test('that was stopped stays so', async () => {
    const it = world();
    it.stream.stop();
    await it.pass(60);
    expect(it.sources).toHaveLength(1);
    expect(it.polls).toBe(0);
  });
});

describe('the state', () => {
  test('does not go back, unless another gate answers', () => {
    const first = take(NOTHING, state(9000, 5), 1, 'stream');
    expect(take(first, state(8000), 2, 'asked').now?.at).toBe(9000);
    expect(take(first, { ...state(8000), node: 'gate-2' }, 2, 'stream').now?.at).toBe(8000);
  });

  test('keeps a bounded line, each second once, and a bounded list', () => {
    let live = NOTHING;
    for (let second = 1; second <= KEPT + 50; second += 1) {
      live = take(live, state(second * 1000, second), second, 'stream');
      live = take(live, state(second * 1000, second), second, 'asked');
    }
    const line = live.lines.public ?? [];
    expect(line).toHaveLength(KEPT);
    expect(new Set(line.map(({ at }) => at)).size).toBe(KEPT);
    expect(TOLD).toBeGreaterThan(0);
  });

  test('is the same after it was kept, and nothing where what was kept is no state', () => {
    const live = take(NOTHING, state(4000), 123, 'stream');
    const again = unpack(pack(live));
    expect([again.now, again.received, again.link]).toEqual([live.now, 123, 'opening']);
    expect(age(again, 623)).toBe(500);
    for (const broken of [null, '', '{', '{}', '{"v":2}', '{"v":1,"now":{},"received":1}', '[]', '{"v":1,"now":null,"received":1}']) expect(unpack(broken)).toEqual(NOTHING);
    expect(pack(NOTHING)).toBeNull();
  });
});
