// Forms of the configuration as a gate answers them, as far as this mock's own file goes: tables under headers, a key to a line. A gate
// reads whatever TOML there is.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What the gate says of the tables that have a form: `UPDATE=1 cargo test -p portcullis mock_of_the_console` writes it. */
export const KEYS = JSON.parse(readFileSync(fileURLToPath(new URL('./keys.json', import.meta.url)), 'utf8'));

const named = (path) => KEYS.find((table) => table.path === path)?.named_by ?? null;

/** The tables of a text with the lines that they take. */
function tables(text) {
  const all = [];
  const last = {};
  text.split('\n').forEach((line, index) => {
    const header = /^\[+([\w.]+)\]+$/.exec(line.trim());
    if (header) {
      all.push({ path: header[1], keys: [], from: index, until: index + 1, above: Object.fromEntries(Object.entries(last).filter(([path]) => header[1].startsWith(`${path}.`))) });
      last[header[1]] = all.at(-1);
    }
    const pair = /^(\w+) = (.*)$/.exec(line.trim());
    if (!pair || all.length === 0) return;
    all.at(-1).keys.push({ key: pair[1], value: JSON.parse(pair[2]), line: index });
    all.at(-1).until = index + 1;
  });
  const name = (path, table) => (named(path) ? (table?.keys.find(({ key }) => key === named(path))?.value ?? null) : null);
  const at = (table) => table.path.split('.').map((key, index, parts) => {
    const path = parts.slice(0, index + 1).join('.');
    return { table: key, name: name(path, path === table.path ? table : table.above[path]) };
  });
  return all.map((table) => ({ ...table, at: at(table) }));
}

const is = (one, other) => JSON.stringify(one.map(({ table, name }) => [table, name ?? null])) === JSON.stringify(other.map(({ table, name }) => [table, name ?? null]));

export function drafted(before, changes) {
  const misfits = [];
  let text = before;
  changes.forEach(({ at, act, key, value }, change) => {
    const lines = text.split('\n');
    const table = tables(text).find((one) => is(one.at, at));
    const path = at.map((one) => one.table).join('.');
    const declared = KEYS.find((one) => one.path === path)?.keys.find(({ name }) => name === key);
    const wrong = (message, hint = '') => misfits.push({ change, key: key ?? '', message, hint });
    if (act === 'set' && declared?.kind === 'count' && typeof value !== 'number') return wrong(`\`${key}\` must be a number from ${declared.least} to ${declared.most}, not a string`);
    if (act === 'set' && declared?.must && (value === '' || value.length === 0)) return wrong(`\`${key}\` is empty`, `for example: ${key} = ${declared.example}`);
    if (act === 'set' && declared?.kind === 'quantity' && !/^\d+(ms|s|m|h)$/.test(value)) return wrong(`\`${value}\` has no unit`, `write \`${value}s\``);
    if (act === 'add' && !/^[a-z0-9-]+$/.test(at.at(-1).name) && path === 'alert') return wrong('a name has 1 to 63 lower-case letters, digits and hyphens');
    if (act === 'add') text = `${text.trimEnd()}\n\n[[${path}]]\n${named(path)} = ${JSON.stringify(at.at(-1).name)}\n`;
    else if (act === 'set' && !table) text = `${text.trimEnd()}\n\n[${path}]\n${key} = ${JSON.stringify(value)}\n`;
    else if (!table) return;
    else if (act === 'remove') text = lines.toSpliced(table.from, table.until - table.from + (lines[table.until] === '' ? 1 : 0)).join('\n').trimEnd() + '\n';
    else {
      const line = table.keys.find((one) => one.key === key)?.line;
      const written = act === 'set' ? [`${key} = ${JSON.stringify(value).replaceAll('","', '", "')}`] : [];
      text = (line === undefined ? lines.toSpliced(table.until, 0, ...written) : lines.toSpliced(line, 1, ...written)).join('\n');
    }
  });
  const after = misfits.length > 0 ? before : text;
  const hidden = ({ key, value }) => ({ key, value: key === 'url' ? value.replace(/(https?:\/\/[^/]+)\/.*/, '$1/***5f3a') : value });
  return { text: after, tables: tables(after).map(({ at, path, keys }) => ({ at, keys: path === 'alert' ? keys.map(hidden) : keys.map(({ key, value }) => ({ key, value })) })), misfits };
}
