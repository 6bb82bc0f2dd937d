/** The state of a chat: history, commands that begin with a slash, and the answer that is being written. */
import type { Generator } from '../generate/index.ts';
import { chatTexts } from '../messages/cli.ts';
import type { Message } from '../template/index.ts';

/** One chat. */
export class ChatSession {
  private readonly generator: Pick<Generator, 'promptIds' | 'answer'>;
  private readonly write: (text: string) => void;
  private history: Message[] = [];
  private running: AbortController | undefined;
  /** Counts answers, so that a repeated question draws other tokens. */
  private draws = 0;

  constructor(generator: Pick<Generator, 'promptIds' | 'answer'>, write: (text: string) => void) {
    this.generator = generator;
    this.write = write;
  }

  /** The turns so far. */
  get messages(): readonly Message[] {
    return this.history;
  }

  /** Ends the running answer; false where none is running. */
  stop(): boolean {
    if (this.running === undefined || this.running.signal.aborted) return false;
    this.running.abort();
    return true;
  }

  /** Takes what was typed; true where the chat is to end. */
  async take(line: string): Promise<boolean> {
    const typed = line.trim();
    switch (typed) {
      case '':
        return false;
      case '/exit':
      case '/quit':
        return true;
      case '/clear':
        this.history = [];
        this.write(`${chatTexts.cleared}\n`);
        return false;
      case '/retry':
        while (this.history.at(-1)?.role === 'assistant') this.history.pop();
        if (this.history.length === 0) this.write(`${chatTexts.nothingToRetry}\n`);
        else await this.answer();
        return false;
      case '/help':
        this.write(`${chatTexts.help}\n`);
        return false;
    }
    if (/^\/[a-z]+$/.test(typed)) {
      this.write(`${chatTexts.unknown(typed)}\n`);
      return false;
    }
    this.history.push({ role: 'user', content: line });
    await this.answer();
    return false;
  }

  /** Answers the history. What was written before an interruption counts as the answer. */
  private async answer(): Promise<void> {
    const controller = new AbortController();
    this.running = controller;
    try {
      const { text } = await this.generator.answer(this.generator.promptIds(this.history), {
        onText: this.write,
        signal: controller.signal,
        draw: this.draws++,
      });
      this.history.push({ role: 'assistant', content: text });
      this.write('\n');
    } finally {
      this.running = undefined;
    }
  }
}
