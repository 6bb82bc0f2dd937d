/** `fettle chat`: a conversation in the terminal, in the template that was trained. */
import { createInterface } from 'node:readline';
import { FettleError } from '../../errors.ts';
import { type AnswerOptions, openGenerator } from '../../generate/index.ts';
import { chatTexts } from '../../messages/cli.ts';
import type { Message } from '../../template/index.ts';
import { ChatSession } from '../chat-session.ts';
import { lengthWarning } from '../length-warning.ts';
import { type Command, configUsage } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { describeFailure, INTERRUPTED } from '../failure.ts';

/** A line that ends so goes on in the next one. */
const CONTINUED = '\\';

export const command: Command = {
  usage: configUsage,
  flags: [],
  notes: [chatTexts.help],
  async run(context) {
    const { out, err, input } = context;
    const { config } = await openCommandConfig(context, ['model_name_or_path']);
    const generator = await openGenerator(config, { maxRows: 1, reuse: 'all' });
    const isTty = input.isTTY === true && out.isTty;
    const warned = {
      answer: (ids: ArrayLike<number>, more?: AnswerOptions) => generator.answer(ids, more),
      promptIds: (messages: readonly Message[]): Int32Array => {
        const ids = generator.promptIds(messages);
        const tooLong = lengthWarning(ids.length, generator);
        if (tooLong !== undefined) err.line(err.style('dim', tooLong));
        return ids;
      },
    };
    const session = new ChatSession(warned, (text) => out.write(text));
    const lines = createInterface({ input, ...(isTty ? { output: process.stdout, terminal: true } : {}) });
    let exitCode = 0;
    // Ctrl-C ends the answer; where none is running it ends the chat.
    const interrupt = (): void => {
      if (session.stop()) return;
      exitCode = INTERRUPTED;
      lines.close();
    };
    context.onInterrupt(interrupt);
    lines.on('SIGINT', interrupt);
    if (isTty) {
      err.line(err.style('dim', chatTexts.help));
      lines.setPrompt(out.style('cyan', chatTexts.prompt));
      lines.prompt();
    }
    let held = '';
    try {
      for await (const line of lines) {
        if (line.endsWith(CONTINUED)) {
          held += `${line.slice(0, -CONTINUED.length)}\n`;
          continue;
        }
        const message = held + line;
        held = '';
        try {
          if (await session.take(message)) break;
        } catch (error) {
          // a person may ask otherwise; a script is told by the exit code
          if (!isTty || !(error instanceof FettleError)) throw error;
          err.line(describeFailure(error, context.env).text);
        }
        if (isTty) lines.prompt();
      }
    } finally {
      lines.close();
      await generator.release();
    }
    return exitCode;
  },
};
