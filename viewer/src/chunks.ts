// Responses that may take their time, as long as something comes.

/** Sends a request. Where no answer to it begins for `stillMsMax`, it is aborted. */
export function answerOf(url: string, options: RequestInit, request: AbortController, stillMsMax: number): Promise<Response> {
  const timer = setTimeout(() => request.abort(), stillMsMax);
  return fetch(url, { ...options, signal: request.signal }).finally(() => clearTimeout(timer));
}

/** A body as a whole. */
export async function wholeOf(response: Response, request: AbortController, stillMsMax: number): Promise<Blob> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of chunksOf(response, request, stillMsMax)) chunks.push(chunk);
  return new Blob(chunks);
}

/** The pieces of a body as they come. Where none comes for `stillMsMax`, the connection is as good as lost: the request is aborted. */
export async function* chunksOf(response: Response, request: AbortController, stillMsMax: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const reader = response.body?.getReader();
  while (reader !== undefined) {
    const timer = setTimeout(() => request.abort(new Error('nothing comes any more')), stillMsMax);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    yield value;
  }
}
