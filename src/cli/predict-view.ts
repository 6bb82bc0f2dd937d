/** Predictions as people see them: progress with the time that is left, then the numbers. `predict` and `train` share it. */
import type { FettleConfig } from '../config/index.ts';
import { type AskEvent, predict, type PredictEnd, type Scores } from '../eval/index.ts';
import { predictTexts } from '../messages/eval.ts';
import { formatCount, formatDuration, formatNumber } from '../util/index.ts';
import type { CommandContext } from './command.ts';
import { INTERRUPTED } from './failure.ts';
import { ProgressLine } from './progress.ts';
import type { Terminal } from './terminal.ts';

/** Shows one event of a model that answers rows. */
export function showAskEvent(event: AskEvent, terminal: Terminal, progress: ProgressLine): void {
  switch (event.type) {
    case 'notice':
      progress.line(terminal.style('yellow', event.text));
      return;
    case 'resuming':
      progress.line(terminal.style('cyan', predictTexts.resuming(event.done, event.total)));
      return;
    case 'progress': {
      const { done, total, tokensPerSecond, secondsLeft } = event;
      const speed = formatNumber(tokensPerSecond);
      progress.show(done / total, predictTexts.progress(done, total, speed, formatDuration(secondsLeft)));
    }
  }
}

/** Prints the numbers of a set of answers. */
export function showScores(scores: Scores, terminal: Terminal): void {
  const { labels } = scores;
  const all = Object.entries({ ...scores.means, sacrebleu: scores.bleu, chrF2: scores.chrf });
  terminal.table([
    [predictTexts.rows, formatCount(scores.n)],
    ...all.map(([name, score]) => [name, predictTexts.score(score.value, score.ci, score.signature)] as const),
    ...(labels === undefined
      ? []
      : ([
          ['accuracy', predictTexts.share(labels.accuracy, labels.accuracyInterval)],
          ['unmapped', formatCount(labels.unmapped)],
          ...labels.labels.map((label) => [label, predictTexts.perClass(labels.perClass[label]!)] as const),
        ] as const)),
  ]);
  if (labels !== undefined) {
    const { source, labels: names, rule } = labels.mapping;
    terminal.line(terminal.style('dim', predictTexts.mapping(source, names, rule)));
  }
}

/** A signal that Ctrl-C gives. */
export function interruptSignal(context: CommandContext): AbortSignal {
  const controller = new AbortController();
  context.onInterrupt(() => {
    // The second one ends at once: what was answered is kept already.
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
  });
  return controller.signal;
}

/** Predicts as a configuration says. @returns the exit code */
export async function runPredictions(
  context: CommandContext,
  config: FettleConfig,
  goOn: string,
): Promise<{ readonly exitCode: number; readonly end: PredictEnd }> {
  const json = context.options['json'] === true;
  const people = json ? context.err : context.out;
  const progress = new ProgressLine(people);
  const signal = interruptSignal(context);
  const end = await predict(config, {
    signal,
    onEvent: (event) => showAskEvent(event, people, progress),
  }).finally(() => progress.clear());
  if (end.state === 'stopped') {
    people.line(predictTexts.stopped(end.done, end.total));
    people.line(predictTexts.goOn(goOn));
    return { exitCode: INTERRUPTED, end };
  }
  showScores(end.scores!, people);
  for (const file of end.files) people.line(file);
  return { exitCode: 0, end };
}
