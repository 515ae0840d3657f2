// teiten.json: where the functions are that answer requests. What is not there is not offered.

export interface Services {
  readonly clip: string | null;
}

export const NO_SERVICES: Services = { clip: null };

/** Reads a parsed teiten.json, without what is no address; relative ones count from `base`. */
export function parseServices(json: unknown, base: string): Services {
  if (typeof json !== 'object' || json === null) return NO_SERVICES;
  const { clip } = json as Record<string, unknown>;
  return { clip: addressOf(clip, base) };
}

function addressOf(value: unknown, base: string): string | null {
  if (typeof value !== 'string' || value === '') return null;
  try {
    const url = new URL(value, base);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null;
  } catch {
    return null;
  }
}
