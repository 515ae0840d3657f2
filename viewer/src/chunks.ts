// The body of a response, piece by piece.

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
