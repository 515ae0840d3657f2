// What leaves the page: pictures, clips, links.

import { clipUrl, fileName, IN_PAGE_BYTES_MAX } from './core/download.ts';
import type { Span } from './core/spans.ts';
import { element } from './dom.ts';
import { load, type Progress } from './downloading.ts';

const JPEG_QUALITY = 0.95;
/** A saved file's bytes are kept until the browser has surely taken them. */
const KEPT_MS = 60_000;

/** Saves the picture on show as a JPEG, as large as it was captured; false when there is none. */
export async function savePicture(camera: string, atMs: number, video: HTMLVideoElement): Promise<boolean> {
  if (video.videoWidth === 0 || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return false;
  const canvas = element('canvas', {});
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, 'image/jpeg', JPEG_QUALITY);
  });
  if (blob === null) return false;
  saveBlob(blob, fileName(camera, atMs, '.jpg'));
  return true;
}

/**
 * Fetches a clip and saves it, telling how far it is. What would be too large for the page's memory is left to the browser.
 * Fails with what the function says is wrong.
 */
export async function saveClip(
  base: string,
  camera: string,
  range: Span,
  lapse: number | null,
  signal: AbortSignal,
  progress: Progress,
): Promise<'page' | 'browser'> {
  const url = clipUrl(base, camera, range, lapse);
  const name = fileName(camera, range.startMs, lapse === null ? '.mp4' : `_${lapse}x.mp4`);
  progress(0, null);
  const file = await load(url, IN_PAGE_BYTES_MAX, signal, progress);
  if (file === null) {
    saveUrl(url, name);
    return 'browser';
  }
  saveBlob(file, name);
  return 'page';
}

/** Copies a text; false when the browser does not allow it. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages that did not come over TLS have no clipboard but this one, which takes the keyboard.
    const focused = document.activeElement;
    const field = element('textarea', { readonly: true, 'aria-hidden': 'true', class: 'aside' });
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
    return copied;
  }
}

function saveBlob(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  saveUrl(url, name);
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}

function saveUrl(url: string, name: string): void {
  const link = element('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
