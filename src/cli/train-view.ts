/** The events of a run as people read them: what was derived, the progress line, checkpoints, and how to go on. */
import { planLabels, trainTexts } from '../messages/cli.ts';
import type { LogLine, PlanEntry, TrainEvent } from '../run/index.ts';
import { formatBytes, formatCount, formatDuration, formatNumber } from '../util/index.ts';
import { ProgressLine } from './progress.ts';
import type { Terminal } from './terminal.ts';

/** What the view says at the end of a run. */
export interface TrainHints {
  /** The command that goes on with a stopped run. */
  readonly goOn: string;
  /** The command that talks to the result. */
  readonly talk: string;
}

/** A derived number in the unit that its name says. */
export function planValue({ name, value }: PlanEntry): string {
  if (typeof value === 'string') return value;
  if (name.endsWith('_bytes')) return formatBytes(value);
  if (name.endsWith('_seconds')) return formatDuration(value);
  if (name.endsWith('_share')) return `${formatNumber(value * 100)} %`;
  return Number.isInteger(value) ? formatCount(value) : formatNumber(value);
}

/** Prints the events of one run. */
export class TrainView {
  private readonly terminal: Terminal;
  private readonly progress: ProgressLine;
  private readonly hints: TrainHints;
  private last: LogLine | undefined;

  constructor(terminal: Terminal, hints: TrainHints) {
    this.terminal = terminal;
    this.progress = new ProgressLine(terminal);
    this.hints = hints;
  }

  /** Takes the live line away, before something else is printed. */
  clear(): void {
    this.progress.clear();
  }

  /** Names the command that goes on with a run that was stopped. */
  sayHowToGoOn(): void {
    this.clear();
    this.terminal.line(trainTexts.goOn(this.hints.goOn));
  }

  show(event: TrainEvent): void {
    const { terminal, progress } = this;
    switch (event.type) {
      case 'notice':
        progress.line(terminal.style('yellow', event.text));
        return;
      case 'plan':
        progress.clear();
        terminal.table(
          event.entries.map((entry) => [planLabels[entry.name] ?? entry.name.replaceAll('_', ' '), planValue(entry)]),
        );
        return;
      case 'resuming':
        progress.line(terminal.style('cyan', trainTexts.resuming(event.step, event.totalSteps, event.checkpoint)));
        return;
      case 'state':
        if (event.state === 'evaluating') this.draw(trainTexts.evaluating);
        if (event.state === 'saving') this.draw(trainTexts.saving);
        return;
      case 'quantizing':
        progress.show(event.fraction, trainTexts.quantizing(remaining(event.remainingSeconds)));
        return;
      case 'progress':
        this.showProgress(event);
        return;
      case 'log':
        this.showLog(event.line);
        return;
      case 'control':
        progress.line(trainTexts.control(event.step, JSON.stringify(event.command)));
        return;
      case 'checkpoint':
        progress.line(terminal.style('dim', trainTexts.checkpoint(event.folder, event.best)));
        return;
      case 'stopping':
        progress.line(terminal.style('yellow', trainTexts.stopping(remaining(event.remainingSeconds))));
        return;
      case 'stopped':
        progress.clear();
        terminal.line(trainTexts.stopped(event.step, event.totalSteps, event.checkpoint));
        this.sayHowToGoOn();
        return;
      case 'done':
        progress.clear();
        terminal.line(
          terminal.style(
            'green',
            trainTexts.done(formatNumber(event.results.train_loss), formatDuration(event.results.train_runtime)),
          ),
        );
        for (const file of event.files) terminal.line(`  ${file}`);
        terminal.line(trainTexts.talk(this.hints.talk));
        return;
      case 'evaluated':
        progress.clear();
        terminal.line(terminal.style('green', trainTexts.evaluatedAlone(formatNumber(event.results.eval_loss))));
        for (const file of event.files) terminal.line(`  ${file}`);
        return;
      case 'failed':
        // The error itself ends the command and is printed there.
        progress.clear();
    }
  }

  private share(): number {
    return this.last === undefined ? 0 : this.last.current_steps / this.last.total_steps;
  }

  private draw(text: string): void {
    this.progress.show(this.share(), text);
  }

  private showProgress(event: Extract<TrainEvent, { type: 'progress' }>): void {
    const { last } = this;
    const speed = last?.tokens_per_second;
    const left = remaining(event.remainingSeconds);
    this.progress.show(
      (event.step + event.fraction) / event.totalSteps,
      trainTexts.progress({
        step: Math.min(event.step + 1, event.totalSteps),
        total: event.totalSteps,
        ...(last?.loss === undefined ? {} : { loss: formatNumber(last.loss) }),
        ...(speed === undefined ? {} : { speed: formatCount(speed) }),
        ...(left === undefined ? {} : { left }),
      }),
    );
  }

  private showLog(line: LogLine): void {
    const { terminal, progress } = this;
    const [step, total] = [line.current_steps, line.total_steps];
    if (line.eval_loss !== undefined) {
      progress.line(terminal.style('cyan', trainTexts.evaluated(step, total, formatNumber(line.eval_loss))));
    }
    if (line.loss === undefined) return;
    this.last = line;
    if (terminal.isTty) {
      const speed = line.tokens_per_second;
      progress.show(
        step / total,
        trainTexts.progress({
          step,
          total,
          loss: formatNumber(line.loss),
          ...(speed === undefined ? {} : { speed: formatCount(speed) }),
          left: line.remaining_time,
        }),
      );
      return;
    }
    progress.line(
      trainTexts.trained({
        step,
        total,
        loss: formatNumber(line.loss),
        rate: line.lr === undefined ? '?' : formatNumber(line.lr),
        ...(line.grad_norm === undefined ? {} : { norm: formatNumber(line.grad_norm) }),
        ...(line.tokens_per_second === undefined ? {} : { speed: formatCount(line.tokens_per_second) }),
        left: line.remaining_time,
      }),
    );
  }
}

function remaining(seconds: number | null): string | undefined {
  return seconds === null ? undefined : formatDuration(seconds);
}
