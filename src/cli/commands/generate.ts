/** `fettle generate`: one answer to a prompt, to messages, to a raw text or to token ids. */
import { ConfigError } from '../../errors.ts';
import { type Answer, type Generator, openGenerator } from '../../generate/index.ts';
import { type Command, type CommandContext, configUsage, jsonFlag } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { lengthWarning } from '../length-warning.ts';
import { readMessages } from '../messages-file.ts';

const forms = ['prompt', 'messages', 'raw', 'promptIds'] as const;
const flagOf = (form: (typeof forms)[number]): string => (form === 'promptIds' ? '--prompt-ids' : `--${form}`);

/** Ids of a vocabulary, written as `1,2,3`. */
function parseIds(command: string, written: string, vocabularySize: number): Int32Array {
  const ids = written.split(',').map(Number);
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
  if (wrong !== undefined || written.trim() === '') {
    throw new ConfigError('wrong-ids', { command, written, vocabularySize });
  }
  return Int32Array.from(ids);
}

/** The prompt's ids, from the one flag that says it. */
async function promptIds(context: CommandContext, generator: Generator): Promise<Int32Array> {
  const { command, options } = context;
  const form = forms.find((name) => options[name] !== undefined)!;
  const written = options[form] as string;
  switch (form) {
    case 'prompt':
      return generator.promptIds([{ role: 'user', content: written }]);
    case 'messages':
      return generator.promptIds(await readMessages(written));
    case 'raw':
      return generator.rawIds(written);
    case 'promptIds':
      return parseIds(command, written, generator.text.tokenizer.vocabularySize);
  }
}

export const command: Command = {
  usage: `${configUsage} (--prompt TEXT | --messages FILE | --raw TEXT | --prompt-ids IDS)`,
  flags: [
    { flags: '--prompt <text>', description: 'one user turn, in the template that was trained' },
    { flags: '--messages <file>', description: 'a JSON file: a list of role and content' },
    { flags: '--raw <text>', description: 'a text as it is, without template' },
    { flags: '--prompt-ids <ids>', description: 'token ids, with commas' },
    jsonFlag,
  ],
  notes: [
    'do_sample, temperature, top_p, top_k, max_new_tokens, num_beams, num_return_sequences and all other keys of generation come from the configuration.',
  ],
  async run(context) {
    const { command, options, out } = context;
    const given = forms.filter((form) => options[form] !== undefined);
    if (given.length === 0) throw new ConfigError('flag-missing', { command, flags: forms.map(flagOf) });
    if (given.length > 1) throw new ConfigError('flags-exclude', { command, flags: given.map(flagOf) });
    const { config } = await openCommandConfig(context, ['model_name_or_path']);
    const json = options['json'] === true;
    const generator = await openGenerator(config);
    let answers: Answer[];
    try {
      const prompt = await promptIds(context, generator);
      const tooLong = lengthWarning(prompt.length, generator);
      if (tooLong !== undefined) context.err.line(tooLong);
      answers = await generator.answers(prompt, json ? {} : { onText: (text) => out.write(text) });
    } finally {
      await generator.release();
    }
    const [first, ...others] = answers;
    if (json) {
      const all = answers.map(({ ids, text, finish_reason }) => ({ ids, text, finish_reason }));
      out.json(others.length === 0 ? first : { ...first, answers: all });
      return;
    }
    out.line();
    others.forEach(({ text }, i) => {
      out.line(`--- ${i + 2}`);
      out.line(text);
    });
  },
};
