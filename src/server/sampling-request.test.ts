import { describe, expect, it } from 'vitest';
import { parseConfig } from '../config/index.ts';
import type { JsonObject } from '../formats/index.ts';
import { RequestFields } from './request-fields.ts';
import { type AnswerSettings, readAnswerSettings } from './sampling-request.ts';

const read = (body: JsonObject, config: object = {}): AnswerSettings =>
  readAnswerSettings(new RequestFields(body), parseConfig(JSON.stringify(config), 'serve.json').config, 100);

describe('what a request leaves out comes from the configuration', () => {
  const config = { logit_bias: { 7: -3 }, stop_strings: ['END'], do_sample: true, temperature: 0.5 };

  it('biases and stop texts too', () => {
    expect(read({}, config)).toMatchObject({
      stopTexts: ['END'],
      sampling: { tokenBias: [[7, -3]], temperature: 0.5 },
      beams: undefined,
    });
    expect(read({ stop: 'x', logit_bias: { 8: 1 } }, config)).toMatchObject({
      stopTexts: ['x'],
      sampling: { tokenBias: [[8, 1]] },
    });
    expect(read({ stop: [], logit_bias: {} }, config)).toMatchObject({ stopTexts: [], sampling: { tokenBias: [] } });
  });

  it('and beams, which a request may leave', () => {
    const beams = { num_beams: 4, length_penalty: 0.5, early_stopping: 'never' };
    const settings = { beams: 4, lengthPenalty: 0.5, earlyStopping: 'never' };
    expect(read({}, beams)).toMatchObject({ beams: settings, rows: 4, answers: 1 });
    expect(read({ use_beam_search: false }, beams)).toMatchObject({ beams: undefined, rows: 1 });
  });
});

describe('beams as vLLM has them', () => {
  it('are n or best_of, and draw nothing', () => {
    const asked = { use_beam_search: true, temperature: 0.7, n: 2 };
    const beams = { beams: 2, lengthPenalty: 1, earlyStopping: false };
    expect(read(asked)).toMatchObject({ answers: 2, beams, rows: 2, sampling: { doSample: false } });
    expect(read({ ...asked, best_of: 5, length_penalty: 2, early_stopping: true })).toMatchObject({
      answers: 2,
      beams: { beams: 5, lengthPenalty: 2, earlyStopping: true },
      rows: 5,
    });
  });
  it('need as many rows again where texts are suppressed', () => {
    const suppress = [{ text: 'x', coefficient: 0 }];
    expect(read({ use_beam_search: true, n: 3, suppress })).toMatchObject({ rows: 6 });
    expect(read({ n: 3, suppress })).toMatchObject({ rows: 3 });
  });
  it('one beam is greedy search', () => {
    expect(read({ use_beam_search: true })).toMatchObject({ beams: undefined, sampling: { temperature: 0 } });
  });
});
