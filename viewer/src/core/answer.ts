// What a storage's answer says. It may not be allowed to say what is not there: then 403 means the same as 404.

/** The text of an object; null when it is not there. Fails when that cannot be told. */
export async function readText(response: Response): Promise<string | null> {
  if (response.status === 404 || response.status === 403) return null;
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.text();
}

/**
 * What `parse` makes of an object's text; null when the object is not there. Fails when that cannot be told: what makes no sense comes from
 * somebody between us and the storage.
 */
export async function readAs<T>(response: Response, parse: (text: string) => T | null): Promise<T | null> {
  const text = await readText(response);
  if (text === null) return null;
  const value = parse(text);
  if (value === null) throw new Error('the answer makes no sense');
  return value;
}
