// Formats of numbers and times. The browser's are made once: making one takes a slow telephone several milliseconds, and the first of them seventy,
// which is why plain numbers, the only ones that the first sentence has, do without.

export interface Marks {
  group: string;
  point: string;
  percent: string;
}

const made = new Map<string, unknown>();

/** A number with at most so many digits after the point, and its thousands apart. */
export function grouped(value: number, digits: number, { group, point }: Marks): string {
  const size = Math.abs(value);
  // Rounded as it is written, 0.95 up; what is written with a power is too small or too large for that to matter.
  const scaled = Math.round(Number(`${size}e${digits}`)) / 10 ** digits;
  const [whole = '', rest = ''] = (Number.isFinite(scaled) ? scaled : size).toFixed(digits).split('.');
  const part = rest.replace(/0+$/, '');
  const figures = whole.replace(/\B(?=(\d{3})+$)/g, group) + (part && point + part);
  return value < 0 && /[1-9]/.test(figures) ? `-${figures}` : figures;
}

export function numbers(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return once(`n${locale}${JSON.stringify(options)}`, () => new Intl.NumberFormat(locale, options));
}

export function dates(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return once(`d${locale}${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(locale, options));
}

export function countries(locale: string): Intl.DisplayNames {
  return once(`c${locale}`, () => new Intl.DisplayNames([locale], { type: 'region' }));
}

function once<T>(key: string, make: () => T): T {
  const kept = made.get(key) as T | undefined;
  if (kept !== undefined) return kept;
  const fresh = make();
  made.set(key, fresh);
  return fresh;
}
