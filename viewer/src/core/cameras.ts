// cameras.json: which cameras there are.

/** A DNS label, as in topics, keys and host names. */
const CAMERA_ID = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** The camera ids in a parsed cameras.json, in natural order, without what is no id; null when it is no list of cameras. */
export function cameraIds(json: unknown): string[] | null {
  if (typeof json !== 'object' || json === null || !('cameras' in json) || !Array.isArray(json.cameras)) return null;
  const ids = json.cameras.filter((id: unknown): id is string => typeof id === 'string' && CAMERA_ID.test(id));
  return [...new Set(ids)].sort(new Intl.Collator('en', { numeric: true }).compare);
}
