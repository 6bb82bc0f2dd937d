import { expect, test } from 'vitest';
import type { LogLine, TrainEvent } from '../run/index.ts';
import { ProgressLine } from './progress.ts';
import { Terminal } from './terminal.ts';
import { TrainView } from './train-view.ts';

const hints = { goOn: 'fettle train train.yaml', talk: 'fettle chat adapter_name_or_path=saves/a' };

function terminal(isTTY: boolean, columns = 200): { text: () => string; terminal: Terminal } {
  let text = '';
  const stream = { write: (part: string) => (text += part), isTTY, columns };
  return { text: () => text, terminal: new Terminal(stream, { NO_COLOR: '1' }) };
}

const line: LogLine = {
  current_steps: 10,
  total_steps: 40,
  loss: 2.34567,
  lr: 5e-5,
  grad_norm: 0.71,
  epoch: 0.5,
  percentage: 25,
  elapsed_time: '0:00:10',
  remaining_time: '0:00:30',
  throughput: 1000,
  total_tokens: 10_000,
  tokens_per_second: 1234.5,
  peak_memory_bytes: 1e9,
};
const { loss: _loss, lr: _lr, grad_norm: _norm, tokens_per_second: _speed, ...evaluated } = line;

const events: readonly TrainEvent[] = [
  {
    type: 'plan',
    entries: [
      { name: 'trained_tokens', value: 12_345 },
      { name: 'peak_memory_bytes', value: 1.5e9 },
      { name: 'lr_scheduler_type', value: 'linear' },
    ],
  },
  { type: 'resuming', step: 4, totalSteps: 40, checkpoint: 'saves/a/checkpoint-4' },
  { type: 'progress', step: 9, totalSteps: 40, fraction: 0.5, secondsPerStep: 1, remainingSeconds: 30 },
  { type: 'log', line, secondsPerStep: 1 },
  { type: 'log', line: { ...evaluated, eval_loss: 2.5 }, secondsPerStep: 1 },
  { type: 'checkpoint', step: 10, folder: 'saves/a/checkpoint-10', best: true },
  { type: 'stopping', remainingSeconds: 3 },
  { type: 'stopped', step: 11, totalSteps: 40, checkpoint: 'saves/a/checkpoint-11' },
];

test('without a terminal each logged step is a plain line', () => {
  const { text, terminal: plain } = terminal(false);
  const view = new TrainView(plain, hints);
  for (const event of events) view.show(event);
  expect(text()).toMatchInlineSnapshot(`
    "  trained tokens per epoch  12,345
      memory expected           1.50 GB
      lr scheduler type         linear
    resuming at step 4 of 40 from saves/a/checkpoint-4
    step 10/40  loss 2.346  lr 5e-5  grad_norm 0.71  1,235 tokens/s  0:00:30 left
    step 10/40  eval_loss 2.5
    checkpoint saves/a/checkpoint-10 (best so far)
    finishing the step under way (about 0:00:03), then saving. Ctrl-C again ends at once
    stopped after step 11 of 40, saved in saves/a/checkpoint-11
    go on with: fettle train train.yaml
    "
  `);
});

test('on a terminal one line is drawn again, below the lines that stay', () => {
  const { text, terminal: tty } = terminal(true);
  const view = new TrainView(tty, hints);
  for (const event of events) view.show(event);
  expect(text().replaceAll('\r\u001B[2K', '<redraw>')).toMatchInlineSnapshot(`
    "  trained tokens per epoch  12,345
      memory expected           1.50 GB
      lr scheduler type         linear
    resuming at step 4 of 40 from saves/a/checkpoint-4
    <redraw> ██████░░░░░░░░░░░░░░░░░░  23%  step 10/40  0:00:30 left<redraw> ██████░░░░░░░░░░░░░░░░░░  25%  step 10/40  loss 2.346  1,235 tokens/s  0:00:30 left<redraw>step 10/40  eval_loss 2.5
     ██████░░░░░░░░░░░░░░░░░░  25%  step 10/40  loss 2.346  1,235 tokens/s  0:00:30 left<redraw>checkpoint saves/a/checkpoint-10 (best so far)
     ██████░░░░░░░░░░░░░░░░░░  25%  step 10/40  loss 2.346  1,235 tokens/s  0:00:30 left<redraw>finishing the step under way (about 0:00:03), then saving. Ctrl-C again ends at once
     ██████░░░░░░░░░░░░░░░░░░  25%  step 10/40  loss 2.346  1,235 tokens/s  0:00:30 left<redraw>stopped after step 11 of 40, saved in saves/a/checkpoint-11
    go on with: fettle train train.yaml
    "
  `);
});

test('a live line never wraps', () => {
  const { text, terminal: narrow } = terminal(true, 40);
  new ProgressLine(narrow).show(0.5, 'x'.repeat(100));
  expect(text().replace('\r\u001B[2K', '')).toHaveLength(39);
});
