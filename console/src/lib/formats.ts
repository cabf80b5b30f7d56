// The browser's formats of numbers and times. Each is made once: making one takes a slow telephone several milliseconds.

const made = new Map<string, unknown>();

export function numbers(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return once(`n${locale}${JSON.stringify(options)}`, () => new Intl.NumberFormat(locale, options));
}

export function dates(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return once(`d${locale}${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(locale, options));
}

export function plurals(locale: string): Intl.PluralRules {
  return once(`p${locale}`, () => new Intl.PluralRules(locale));
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
