/** Generation: prompts in, tokens out as they come. Rows share steps; a finished row makes room for the next prompt. */
import type { Decoder } from './decoder.ts';
import { chooseToken, type SamplingSettings } from './sampling.ts';

export interface GenerationRequest {
  readonly promptIds: ArrayLike<number>;
  readonly maxNewTokens: number;
  /** Ids that end the answer; the one that came belongs to it. */
  readonly stopIds: ReadonlySet<number>;
  readonly sampling: SamplingSettings;
  /** Told each token as it is chosen; returning true ends the answer (a stop text was complete). */
  readonly onToken?: (id: number) => boolean | void;
  readonly signal?: AbortSignal;
}

export interface Generation {
  /** The new ids, the stop id included where it came. */
  readonly ids: readonly number[];
  readonly finishReason: 'stop' | 'length' | 'aborted';
}

interface Row {
  readonly index: number;
  readonly request: GenerationRequest;
  readonly ids: number[];
  readonly seen: Set<number>;
  finish: Generation['finishReason'] | undefined;
}

/**
 * Answers many requests, at most `maxRows` at a time, in rows `0` to `maxRows - 1` of the decoder. A request's result
 * does not depend on its neighbours' draws.
 */
export async function generateMany(
  decoder: Decoder,
  requests: readonly GenerationRequest[],
  maxRows: number,
): Promise<Generation[]> {
  const results: Generation[] = [];
  const rows: Row[] = [];
  let next = 0;
  const finish = (row: Row): void => {
    results[row.index] = { ids: row.ids, finishReason: row.finish! };
  };
  while (next < requests.length || rows.length > 0) {
    while (next < requests.length && rows.length < maxRows) {
      const request = requests[next]!;
      const row: Row = {
        index: next++,
        request,
        ids: [],
        seen: new Set(Array.from(request.promptIds)),
        finish: undefined,
      };
      decoder.truncate(rows.length, 0);
      const [logits] = await decoder.append(rows.length, [request.promptIds]);
      take(row, logits!);
      if (row.finish) finish(row);
      else rows.push(row);
    }
    if (rows.length === 0) continue;
    const logits = await decoder.append(
      0,
      rows.map(({ ids }) => [ids.at(-1)!]),
    );
    rows.forEach((row, i) => take(row, logits[i]!));
    for (let i = rows.length - 1; i >= 0; i--) {
      if (!rows[i]!.finish) continue;
      finish(rows[i]!);
      const last = rows.pop()!;
      if (i < rows.length) {
        decoder.copyRow(rows.length, i);
        rows[i] = last;
      }
    }
  }
  return results;
}

/** Chooses a row's next token and says whether that ends it. */
function take(row: Row, logits: Float32Array): void {
  const { request, ids, seen } = row;
  if (request.signal?.aborted) {
    row.finish = 'aborted';
    return;
  }
  const id = chooseToken(logits, request.sampling, seen, row.index, ids.length);
  ids.push(id);
  seen.add(id);
  const ended = request.onToken?.(id) === true;
  if (ended || request.stopIds.has(id)) row.finish = 'stop';
  else if (ids.length >= request.maxNewTokens) row.finish = 'length';
}

/** Answers one request in row 0, using what the row already holds of the prompt's beginning. */
export async function generateOne(
  decoder: Decoder,
  request: GenerationRequest,
  cachedIds: number[],
): Promise<Generation> {
  const prompt = Array.from(request.promptIds);
  let common = 0;
  while (common < cachedIds.length && common < prompt.length - 1 && cachedIds[common] === prompt[common]) common++;
  decoder.truncate(0, common);
  cachedIds.length = common;
  const row: Row = { index: 0, request, ids: [], seen: new Set(prompt), finish: undefined };
  let pending = prompt.slice(common);
  while (!row.finish) {
    const [logits] = await decoder.append(0, [pending]);
    cachedIds.push(...pending);
    take(row, logits!);
    pending = [row.ids.at(-1)!];
  }
  return { ids: row.ids, finishReason: row.finish };
}
