/** What a data set is made of (`data stats`): lengths, turns, languages, and how much of it is trained. */
import type { Example } from './example.ts';
import type { Notice } from './notice.ts';
import { encodeExample, readRows } from './read-rows.ts';
import { resolveDatasets } from './registry.ts';
import type { RowEncoder } from './row-encoder.ts';
import { ignoredLabel } from './sequence.ts';
import type { DataSettings } from './settings.ts';

/** A distribution in a few numbers (nearest rank). */
export interface Summary {
  readonly min: number;
  readonly median: number;
  readonly mean: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Statistics of one data set, or of all together. */
export interface DatasetStats {
  readonly dataset: string;
  readonly rows: number;
  /** Rows that training drops, by rule; rules that drop none are left out. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly sequences: number;
  readonly tokens: number;
  readonly trained_tokens: number;
  /** Trained tokens of all tokens, from 0 to 1. */
  readonly trained_share: number;
  /** Tokens of a sequence. */
  readonly length: Summary;
  /** Tokens that are not trained, of a sequence. */
  readonly prompt_length: Summary;
  /** Tokens that are trained, of a sequence. */
  readonly response_length: Summary;
  /** Rows by their number of assistant turns. */
  readonly turns: Readonly<Record<string, number>>;
  /** Rows by the script that most of their letters belong to. */
  readonly languages: Readonly<Record<string, number>>;
}

/** All statistics, and the lengths for a picture. */
export interface DataStats {
  readonly total: DatasetStats;
  readonly datasets: readonly DatasetStats[];
  /** Tokens of each sequence, before any row is dropped for its length. */
  readonly lengths: readonly number[];
}

function summarize(values: readonly number[]): Summary {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  const sum = sorted.reduce((total, value) => total + value, 0);
  const mean = sorted.length === 0 ? 0 : Math.round((sum / sorted.length) * 10) / 10;
  return { min: at(0), median: at(0.5), mean, p90: at(0.9), p99: at(0.99), max: at(1) };
}

const scripts: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['Chinese', /\p{Script=Han}/gu],
  ['Japanese', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['Korean', /\p{Script=Hangul}/gu],
  ['Cyrillic', /\p{Script=Cyrillic}/gu],
  ['Arabic', /\p{Script=Arabic}/gu],
  ['Devanagari', /\p{Script=Devanagari}/gu],
  ['Thai', /\p{Script=Thai}/gu],
  ['Greek', /\p{Script=Greek}/gu],
  ['Hebrew', /\p{Script=Hebrew}/gu],
  ['Latin', /\p{Script=Latin}/gu],
];
/** Letters that are looked at: enough to tell the language. */
const inspectedLetters = 4000;

/** The script of a text. A sign of Chinese or Japanese says about as much as three letters; kana makes a text Japanese. */
export function languageOf(text: string): string {
  const start = text.slice(0, inspectedLetters);
  const counts = scripts.map(([name, pattern]) => {
    const count = start.match(pattern)?.length ?? 0;
    return { name, weight: name === 'Chinese' || name === 'Japanese' ? 3 * count : count };
  });
  const [chinese, japanese] = [counts[0]!, counts[1]!];
  if (japanese.weight > 0.1 * chinese.weight && japanese.weight > 0) {
    japanese.weight += chinese.weight;
    chinese.weight = 0;
  }
  const best = counts.reduce((a, b) => (b.weight > a.weight ? b : a));
  return best.weight === 0 ? 'none' : best.name;
}

function textOf(example: Example): string {
  if (example.kind === 'text') return example.text;
  const { messages } = example.kind === 'pair' ? example.prompt : example.conversation;
  return messages.map(({ content }) => content).join('\n');
}

function answersOf(example: Example): number {
  if (example.kind === 'text') return 0;
  if (example.kind === 'pair') return 1;
  return example.conversation.messages.filter(({ role }) => role === 'assistant').length;
}

/** Numbers of one data set while its rows are read. */
class StatsCounter {
  readonly dataset: string;
  rows = 0;
  readonly dropped: Record<string, number> = {};
  readonly turns: Record<string, number> = {};
  readonly languages: Record<string, number> = {};
  readonly prompts: number[] = [];
  readonly responses: number[] = [];
  constructor(dataset: string) {
    this.dataset = dataset;
  }
  static count(counts: Record<string, number>, name: string): void {
    counts[name] = (counts[name] ?? 0) + 1;
  }
  get stats(): DatasetStats {
    const { dataset, rows, dropped, turns, languages, prompts, responses } = this;
    const trained = responses.reduce((sum, count) => sum + count, 0);
    const tokens = trained + prompts.reduce((sum, count) => sum + count, 0);
    return {
      dataset,
      rows,
      dropped,
      sequences: prompts.length,
      tokens,
      trained_tokens: trained,
      trained_share: tokens === 0 ? 0 : Math.round((trained / tokens) * 10_000) / 10_000,
      length: summarize(prompts.map((count, index) => count + responses[index]!)),
      prompt_length: summarize(prompts),
      response_length: summarize(responses),
      turns,
      languages,
    };
  }
}

/**
 * Statistics of the data sets of a config. Rows that are dropped for their length count in `lengths` only, so that the
 * picture shows what `cutoff_len` cuts off.
 * @throws what `resolveDatasets` and `readRows` throw.
 */
export async function dataStats(
  settings: DataSettings,
  encoder: RowEncoder,
  notices: Notice[] = [],
): Promise<DataStats> {
  const entries = await resolveDatasets(settings.dataset, settings.dataset_dir, notices);
  const total = new StatsCounter('all');
  const counters = entries.map(({ name }) => new StatsCounter(name));
  const lengths: number[] = [];
  const unlimited = { ...settings, cutoff_len: Infinity, max_prompt_length: undefined, max_response_length: undefined };
  for await (const group of readRows(entries, settings, notices)) {
    for (const { example, problem, dataset } of group) {
      const both = [total, counters[dataset]!];
      for (const counter of both) counter.rows++;
      if (example) {
        for (const counter of both) {
          StatsCounter.count(counter.turns, String(answersOf(example)));
          StatsCounter.count(counter.languages, languageOf(textOf(example)));
        }
      }
      const encoded = example ? encodeExample(example, encoder, settings) : { problem: problem! };
      if (example) {
        const fits = 'sequences' in encoded && !encoded.truncated;
        const whole = fits ? encoded : encodeExample(example, encoder, unlimited);
        if ('sequences' in whole) for (const { inputIds } of whole.sequences) lengths.push(inputIds.length);
      }
      if ('problem' in encoded) {
        for (const counter of both) StatsCounter.count(counter.dropped, encoded.problem.rule);
        continue;
      }
      for (const { inputIds, labels } of encoded.sequences) {
        const trained = labels.reduce((count, label) => count + (label === ignoredLabel ? 0 : 1), 0);
        for (const counter of both) {
          counter.prompts.push(inputIds.length - trained);
          counter.responses.push(trained);
        }
      }
    }
  }
  return { total: total.stats, datasets: counters.map(({ stats }) => stats), lengths };
}
