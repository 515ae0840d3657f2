// Loads a file piece by piece. What breaks off goes on where it broke, as long as it is the same file (RFC 9110 §13.1.5).

import { chunksOf } from './chunks.ts';
import { pause } from './pause.ts';

/** Pauses before it is tried again; once they are over without a byte more, it is given up. */
const PAUSES_MS: readonly number[] = [250, 1_000, 2_000, 4_000, 8_000];
/** A connection over which nothing comes for this long, once an answer has begun, is as good as lost. */
const STILL_MS_MAX = 20_000;
/** How much of an error's text is worth showing. */
const ERROR_CHARACTERS_MAX = 200;

/** Called with what has come so far, and with how much there is; null while that is not known. */
export type Progress = (bytes: number, total: number | null) => void;

/** A refusal, in the words of whoever refused. */
export class Refused extends Error {}

/**
 * Loads a file; null as soon as it turns out to have more than `bytesMax`, before any of it is asked for where that can be told.
 * Fails with what the server says is wrong, when the connection is lost for good, or with an AbortError.
 */
export async function load(url: string, bytesMax: number, signal: AbortSignal, progress: Progress, stillMsMax = STILL_MS_MAX): Promise<Blob | null> {
  if ((await size(url, signal)) > bytesMax) return null;
  const file = new Loading(stillMsMax);
  for (let tries = 0; ; tries += 1) {
    const before = file.bytes;
    try {
      return (await file.goOn(url, bytesMax, signal, progress)) ? file.blob() : null;
    } catch (error) {
      if (signal.aborted || error instanceof Refused) throw error;
      if (file.bytes > before) tries = 0;
      const pauseMs = PAUSES_MS[tries];
      if (pauseMs === undefined) throw new Error('the connection was lost');
      await pause(pauseMs, signal);
    }
  }
}

/** How many bytes a file has; 0 when nobody tells. Whoever is asked for it then tells what is wrong. */
async function size(url: string, signal: AbortSignal): Promise<number> {
  try {
    const response = await fetch(url, { method: 'HEAD', signal });
    return response.ok ? (lengthOf(response.headers) ?? 0) : 0;
  } catch (error) {
    if (signal.aborted) throw error;
    return 0;
  }
}

/** How many bytes there are of what is answered, as a whole, if that is said. */
function lengthOf(headers: Headers): number | null {
  const range = /\/(\d+)$/.exec(headers.get('content-range') ?? '');
  const length = Number(range?.[1] ?? headers.get('content-length') ?? Number.NaN);
  return Number.isFinite(length) && length > 0 ? length : null;
}

class Loading {
  readonly #stillMsMax: number;
  bytes = 0;
  #parts: Uint8Array<ArrayBuffer>[] = [];
  #total: number | null = null;
  #tag: string | null = null;

  constructor(stillMsMax: number) {
    this.#stillMsMax = stillMsMax;
  }

  blob(): Blob {
    return new Blob(this.#parts, { type: 'video/mp4' });
  }

  /** Loads what is missing; false when that would be too much. */
  async goOn(url: string, bytesMax: number, signal: AbortSignal, progress: Progress): Promise<boolean> {
    const attempt = new AbortController();
    const abort = (): void => attempt.abort(signal.reason);
    signal.addEventListener('abort', abort);
    try {
      return await this.#attempt(url, bytesMax, attempt, progress);
    } finally {
      signal.removeEventListener('abort', abort);
      // What is left of an answer that is too much is not wanted.
      attempt.abort();
    }
  }

  async #attempt(url: string, bytesMax: number, attempt: AbortController, progress: Progress): Promise<boolean> {
    const goesOn = this.bytes > 0 && this.#tag !== null;
    const headers: HeadersInit = goesOn ? { range: `bytes=${this.bytes}-`, 'if-range': this.#tag ?? '' } : {};
    let response = await fetch(url, { headers, signal: attempt.signal });
    // What is too large for one answer comes in parts: as much as can be sent of it, and then what is missing.
    const inParts = response.status === 413;
    if (inParts) response = await fetch(url, { headers: { range: 'bytes=0-' }, signal: attempt.signal });
    if (!response.ok) {
      const text = (await response.text()).trim().slice(0, ERROR_CHARACTERS_MAX);
      // It may be up again soon, but whoever waits for the first byte wants to know what is wrong.
      if (response.status >= 500 && goesOn) throw new Error(text);
      throw new Refused(text === '' ? `status ${response.status}` : text);
    }
    if (response.status !== 206 || inParts) this.#beginAnew(response.headers);
    if (this.#total !== null && this.#total > bytesMax) return false;
    for await (const chunk of chunksOf(response, attempt, this.#stillMsMax)) {
      this.#parts.push(chunk);
      this.bytes += chunk.length;
      if (this.bytes > bytesMax) return false;
      progress(this.bytes, this.#total);
    }
    if (this.#total !== null && this.bytes < this.#total) throw new Error('it broke off');
    return true;
  }

  #beginAnew(headers: Headers): void {
    this.#parts = [];
    this.bytes = 0;
    this.#total = lengthOf(headers);
    const tag = headers.get('etag');
    // A weak one does not say that the bytes are the same.
    this.#tag = tag === null || tag.startsWith('W/') ? null : tag;
  }
}
