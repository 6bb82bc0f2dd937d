import { describe, expect, it } from 'vitest';
import { RandomStream } from '../util/index.ts';
import { characterEncoder, endId, headerIds, shown } from './character-encoder.fixture.ts';
import type { Conversation, Message } from '../template/index.ts';
import { cutLikeLlamaFactory, inferSeqlen } from './infer-seqlen.ts';
import { fitConversation, type FittedRow, fitText, type LengthLimits, type OverlongPolicy } from './overlong.ts';

/** "s:Be short|u:Hi|a:Ho" */
function conversation(text: string): Conversation {
  const roles = { s: 'system', u: 'user', a: 'assistant', t: 'tool' } as const;
  const messages = text
    .split('|')
    .map((turn): Message => ({ role: roles[turn[0] as keyof typeof roles], content: turn.slice(2) }));
  return { messages };
}
function fit(text: string, limits: number | LengthLimits, policy: OverlongPolicy): FittedRow {
  return fitConversation(
    characterEncoder,
    conversation(text),
    typeof limits === 'number' ? { cutoff_len: limits } : limits,
    policy,
    false,
  );
}
function ids(row: FittedRow): string[] {
  return 'excess' in row
    ? [`${row.excess.limit} ${row.excess.tokens} > ${row.excess.maxTokens}`]
    : row.sequences.map((s) => shown(s.inputIds));
}

describe('overlong', () => {
  const row = 'u:question|a:answer';
  it('leaves rows that fit as they are', () => {
    for (const policy of ['drop', 'keep-response', 'keep-prompt', 'split', 'error', 'llamafactory'] as const) {
      const fitted = fit(row, 18, policy);
      expect(ids(fitted)).toEqual(['‹u›question¶‹a›answer¶']);
      expect(fitted).toMatchObject({ truncated: false });
    }
  });
  it('drop and error name the limit', () => {
    expect(ids(fit(row, 17, 'drop'))).toEqual(['cutoff_len 18 > 17']);
    expect(ids(fit(row, { cutoff_len: 99, max_prompt_length: 10 }, 'error'))).toEqual(['max_prompt_length 11 > 10']);
    expect(ids(fit(row, { cutoff_len: 99, max_response_length: 6 }, 'drop'))).toEqual(['max_response_length 7 > 6']);
  });
  it('keep-response cuts the content of the longest prompt turn, the system text last', () => {
    expect(ids(fit(row, 14, 'keep-response'))).toEqual(['‹u›ques¶‹a›answer¶']);
    expect(ids(fit(row, { cutoff_len: 99, max_prompt_length: 5 }, 'keep-response'))).toEqual(['‹u›qu¶‹a›answer¶']);
    expect(ids(fit('u:abc|a:x|u:abcdefgh|a:y', 17, 'keep-response'))).toEqual(['‹u›abc¶‹a›x¶‹u›abcd¶‹a›y¶']);
    expect(ids(fit('s:system|u:ab|a:y', 13, 'keep-response'))).toEqual(['‹s›syste¶‹u›a¶‹a›y¶']);
    expect(ids(fit(row, 9, 'keep-response'))).toEqual(['cutoff_len 11 > 9']);
    expect(ids(fit(row, { cutoff_len: 99, max_response_length: 6 }, 'keep-response'))).toEqual([
      'max_response_length 7 > 6',
    ]);
  });
  it('keep-prompt cuts the first answer that does not fit and adds no end token', () => {
    expect(ids(fit(row, 14, 'keep-prompt'))).toEqual(['‹u›question¶‹a›ans']);
    expect(ids(fit(row, { cutoff_len: 99, max_response_length: 2 }, 'keep-prompt'))).toEqual(['‹u›question¶‹a›an']);
    expect(ids(fit('u:a|a:b|u:c|a:def', 11, 'keep-prompt'))).toEqual(['‹u›a¶‹a›b¶‹u›c¶‹a›d']);
    expect(ids(fit('u:a|a:b|u:c|a:def', 10, 'keep-prompt'))).toEqual(['‹u›a¶‹a›b¶']);
    expect(ids(fit(row, 11, 'keep-prompt'))).toEqual(['cutoff_len 18 > 11']);
  });
  it('split cuts between exchanges, each part with the system text', () => {
    expect(ids(fit('s:S|u:a|a:b|u:c|a:d|u:e|a:f', 15, 'split'))).toEqual([
      '‹s›S¶‹u›a¶‹a›b¶‹u›c¶‹a›d¶',
      '‹s›S¶‹u›e¶‹a›f¶',
    ]);
    expect(ids(fit(row, 17, 'split'))).toEqual(['cutoff_len 18 > 17']);
  });
  it('texts are cut without an end token, or into parts', () => {
    const text = (policy: OverlongPolicy): string[] =>
      ids(fitText(characterEncoder, 'abcdefg', { cutoff_len: 3 }, policy));
    expect(text('drop')).toEqual(['cutoff_len 8 > 3']);
    expect(text('keep-prompt')).toEqual(['abc']);
    expect(text('split')).toEqual(['abc', 'def', 'g¶']);
  });

  it('keeps headers and ends whole whatever the lengths (but for llamafactory)', () => {
    const random = new RandomStream(11);
    const word = (longest: number): string => 'x'.repeat(1 + random.nextInt(longest));
    let fitted = 0;
    for (let trial = 0; trial < 1000; trial++) {
      const turns = Array.from({ length: 1 + random.nextInt(3) }, () => `u:${word(40)}|a:${word(40)}`);
      const text = [...(random.nextInt(2) ? [`s:${word(20)}`] : []), ...turns].join('|');
      const limits: LengthLimits = {
        cutoff_len: 8 + random.nextInt(120),
        max_prompt_length: random.nextInt(2) ? 4 + random.nextInt(60) : undefined,
        max_response_length: random.nextInt(2) ? 4 + random.nextInt(60) : undefined,
      };
      for (const policy of ['keep-response', 'keep-prompt', 'split'] as const) {
        const result = fit(text, limits, policy);
        if ('excess' in result) continue;
        fitted++;
        for (const { inputIds, labels } of result.sequences) {
          const trained = labels.filter((label) => label !== -100).length;
          expect(inputIds.length).toBeLessThanOrEqual(limits.cutoff_len);
          expect(trained).toBeLessThanOrEqual(limits.max_response_length ?? Infinity);
          expect(inputIds.length - trained).toBeLessThanOrEqual(limits.max_prompt_length ?? Infinity);
          expect(trained).toBeGreaterThan(0);
          // Every turn but the last is header, content and end; the last answer may lack its end under keep-prompt only.
          const form = shown(inputIds).replaceAll(/x+/g, 'x');
          expect(form).toMatch(
            policy === 'keep-prompt' ? /^(‹s›x¶)?(‹u›x¶‹a›x¶)*(‹u›x¶‹a›x¶?)$/ : /^(‹s›x¶)?(‹u›x¶‹a›x¶)+$/,
          );
          // Exactly the answers and their end tokens are trained.
          let inAnswer = false;
          const expected = inputIds.map((id) => {
            const label = inAnswer ? id : -100;
            if (id === headerIds.assistant) inAnswer = true;
            if (id === endId) inAnswer = false;
            return label;
          });
          expect(labels).toEqual(expected);
        }
      }
    }
    expect(fitted).toBeGreaterThan(1000);
  });
});

describe('overlong: llamafactory', () => {
  it('agrees with the definition of infer_seqlen on 10,000 random triples', () => {
    expect(inferSeqlen(3000, 500, 2048)).toEqual([1548, 500]);
    expect(inferSeqlen(500, 3000, 2048)).toEqual([500, 1548]);
    expect(inferSeqlen(3000, 3000, 2048)).toEqual([1024, 1024]);
    const random = new RandomStream(3);
    for (let trial = 0; trial < 10_000; trial++) {
      const [s, t, length] = [random.nextInt(5000), 1 + random.nextInt(5000), 1 + random.nextInt(4096)] as const;
      const most = 2 * t < length ? length : 2 * s < length ? length - s : Math.trunc(length * (t / (s + t)));
      const target = Math.min(most, t);
      expect(inferSeqlen(s, t, length)).toEqual([Math.min(Math.max(length - target, 0), s), target]);
    }
  });
  it('cuts turn by turn, and the last turn first where the history is masked', () => {
    const sequence = characterEncoder.encodeConversation(conversation('u:aaaa|a:bbbb|u:cccc|a:dddd'))[0]!;
    expect(shown(cutLikeLlamaFactory(sequence, 16, false).inputIds)).toBe('‹u›aaaa¶‹a›bbbb¶‹u›ccd');
    expect(shown(cutLikeLlamaFactory(sequence, 16, true).inputIds)).toBe('‹u›aab‹u›cccc¶‹a›dddd¶');
  });
});
