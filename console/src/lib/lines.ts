// Which lines of a text became others. Pure: the longest common run of lines, as everybody's diff has it.

export interface Line {
  kind: '+' | '-';
  text: string;
}

/** Beyond so many pairs of lines between the common ends, everything between counts as changed. */
const MOST = 4_000_000;

export function lines(before: string, after: string): Line[] {
  if (before === after) return [];
  let [old, fresh] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < fresh.length - start && old.at(-1 - end) === fresh.at(-1 - end)) end += 1;
  [old, fresh] = [old.slice(start, old.length - end), fresh.slice(start, fresh.length - end)];
  const less = (text: string): Line => ({ kind: '-', text });
  const more = (text: string): Line => ({ kind: '+', text });
  if (old.length * fresh.length > MOST) return [...old.map(less), ...fresh.map(more)];

  // length[i][j]: the longest common run of old[i..] and fresh[j..].
  const width = fresh.length + 1;
  const length = new Uint32Array((old.length + 1) * width);
  const at = (i: number, j: number) => length[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = fresh.length - 1; j >= 0; j -= 1) {
      length[i * width + j] = old[i] === fresh[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const out: Line[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < fresh.length) {
    const [was, is] = [old[i], fresh[j]];
    if (was !== undefined && was === is) [i, j] = [i + 1, j + 1];
    else if (was !== undefined && (is === undefined || at(i + 1, j) >= at(i, j + 1))) [out[out.length], i] = [less(was), i + 1];
    else [out[out.length], j] = [more(is ?? ''), j + 1];
  }
  return out;
}
