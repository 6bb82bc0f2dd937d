/** The state of a chat: history, commands that begin with a slash, and the answer that is being written. */
import { FettleError } from '../errors.ts';
import { isThere, writeJsonFile } from '../formats/index.ts';
import type { Generator } from '../generate/index.ts';
import { chatTexts } from '../messages/cli.ts';
import type { Message } from '../template/index.ts';

/** A command with what follows it. */
const withArgument = /^\/(save|system)(?:\s+(.*))?$/su;

/** One chat. */
export class ChatSession {
  private readonly generator: Pick<Generator, 'promptIds' | 'answer'>;
  private readonly write: (text: string) => void;
  private history: Message[] = [];
  /** What /system set; it stays when a new conversation begins. */
  private system: string | undefined;
  /** The files that /save wrote: only those are written over. */
  private readonly saved = new Set<string>();
  private running: AbortController | undefined;
  /** Counts answers, so that a repeated question draws other tokens. */
  private draws = 0;

  constructor(generator: Pick<Generator, 'promptIds' | 'answer'>, write: (text: string) => void) {
    this.generator = generator;
    this.write = write;
  }

  /** The turns so far, after the system text where one was set. */
  get messages(): readonly Message[] {
    return this.system === undefined ? this.history : [{ role: 'system', content: this.system }, ...this.history];
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
    const [, command, argument = ''] = withArgument.exec(typed) ?? [];
    if (command === 'save') {
      await this.save(argument);
      return false;
    }
    if (command === 'system') {
      this.system = argument === '' ? undefined : argument;
      this.write(`${this.system === undefined ? chatTexts.systemGone : chatTexts.systemSet}\n`);
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

  /** Writes the conversation into a file, which `fettle generate --messages` reads. A failure is told and ends nothing. */
  private async save(file: string): Promise<void> {
    if (this.history.length === 0) return this.write(`${chatTexts.nothingToSave}\n`);
    if (file === '') return this.write(`${chatTexts.saveWhere}\n`);
    try {
      if (!this.saved.has(file) && (await isThere(file))) return this.write(`${chatTexts.exists(file)}\n`);
      await writeJsonFile(file, { messages: this.messages.map(({ role, content }) => ({ role, content })) });
      this.saved.add(file);
      this.write(`${chatTexts.saved(file)}\n`);
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      this.write(`${error.message}\n`);
    }
  }

  /**
   * Answers the history. What was written before an interruption counts as the answer. A question that could not be
   * answered is forgotten, so that the next one is not refused for it.
   */
  private async answer(): Promise<void> {
    const controller = new AbortController();
    this.running = controller;
    try {
      const { text } = await this.generator.answer(this.generator.promptIds(this.messages), {
        onText: this.write,
        signal: controller.signal,
        draw: this.draws++,
      });
      this.history.push({ role: 'assistant', content: text });
      this.write('\n');
    } catch (error) {
      this.history.pop();
      throw error;
    } finally {
      this.running = undefined;
    }
  }
}
