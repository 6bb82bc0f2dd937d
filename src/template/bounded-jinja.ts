/**
 * Jinja as transformers runs it (trim_blocks, lstrip_blocks, loop controls, `tojson`), with bounds: a template comes
 * from whoever published the model, and must neither hang nor fill memory.
 */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { DataError, FormatError } from '../errors.ts';
import { strftime } from './strftime.ts';

/** Characters of a template: the longest published ones have about 20,000. */
export const maxJinjaLength = 262_144;
/** Evaluated nodes of one rendering, and as many more for each message and tool: published templates take about 45. */
const baseSteps = 100_000;
const stepsPerMessage = 500;
/** Characters of a rendering or of any value made on the way: 16 million is several books. */
const maxOutput = 1 << 24;
/** Elements of a range that a template asks for, and of any list that it makes. */
const maxRange = 10_000;
const maxElements = 100_000;

/** A node of a parsed template, as far as it is looked into here. */
interface Statement {
  readonly type?: string;
  readonly operator?: { readonly value: string };
  readonly left?: Statement;
  readonly right?: Statement;
  readonly value?: unknown;
  readonly operand?: Statement;
  readonly filter?: Statement;
}
interface Value {
  readonly value: unknown;
}
interface Scope {
  set(name: string, value: unknown): unknown;
}
interface Evaluator {
  evaluate(statement: Statement, environment: Scope): Value;
  run(program: Statement): Value;
}

// The package's declarations import without file endings, which Node's resolution does not follow: said here instead.
const BaseInterpreter = Interpreter as unknown as new (environment: Scope) => Evaluator;
const BaseEnvironment = Environment as unknown as new () => Scope;
const parseTemplate = parse as unknown as (tokens: unknown) => Statement;
const tokenizeTemplate = tokenize as unknown as (
  source: string,
  options: { readonly lstrip_blocks: boolean; readonly trim_blocks: boolean },
) => unknown;

/** Raised by `raise_exception`: the template refuses the conversation. */
class Refusal extends Error {}
/** Raised where a bound is passed. */
class BoundError extends Error {
  readonly requirement: string;
  readonly actual: string;
  constructor(requirement: string, actual: string) {
    super(requirement);
    this.requirement = requirement;
    this.actual = actual;
  }
}

class BoundedInterpreter extends BaseInterpreter {
  private readonly maxSteps: number;
  private steps = 0;

  constructor(environment: Scope, messageCount: number) {
    super(environment);
    this.maxSteps = baseSteps + stepsPerMessage * messageCount;
  }

  override evaluate(statement: Statement, environment: Scope): Value {
    if (++this.steps > this.maxSteps) {
      throw new BoundError(`a rendering of this conversation must take at most ${this.maxSteps} steps`, 'more');
    }
    const value = this.evaluateNode(statement, environment);
    const inner = value.value;
    if (typeof inner === 'string' && inner.length > maxOutput) {
      throw new BoundError(`texts must have at most ${maxOutput} characters`, `${inner.length}`);
    }
    if (Array.isArray(inner) && inner.length > maxElements) {
      throw new BoundError(`lists must have at most ${maxElements} elements`, `${inner.length}`);
    }
    return value;
  }

  private evaluateNode(statement: Statement, environment: Scope): Value {
    if (
      statement?.type === 'FilterExpression' &&
      statement.filter?.value === 'trim' &&
      statement.operand !== undefined
    ) {
      const { value } = this.evaluate(statement.operand, environment);
      if (typeof value === 'string')
        return super.evaluate({ type: 'StringLiteral', value: pythonStrip(value) }, environment);
    }
    const { left, right } = statement ?? {};
    const operator = statement?.type === 'BinaryExpression' ? statement.operator?.value : undefined;
    if (left === undefined || right === undefined || (operator !== '+' && operator !== '~')) {
      return super.evaluate(statement, environment);
    }
    try {
      return super.evaluate(statement, environment);
    } catch (error) {
      // Published templates add texts that may be undefined: nothing is what they mean then.
      if (!(error instanceof Error) || !error.message.startsWith('Cannot perform operation')) throw error;
      const text = (side: Statement): string => {
        const { value } = this.evaluate(side, environment);
        if (value === undefined || value === null) return '';
        if (typeof value === 'string' || typeof value === 'number') return `${value}`;
        throw error;
      };
      return super.evaluate({ type: 'StringLiteral', value: text(left) + text(right) }, environment);
    }
  }
}

/** Python's `str.strip()`: other characters count as white space than in JavaScript (U+FEFF not, U+001C and U+0085 do). */
function pythonStrip(text: string): string {
  return text.replace(leadingBlanks, '').replace(trailingBlanks, '');
}
const pythonBlank = String.raw`[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]`;
const leadingBlanks = new RegExp(`^${pythonBlank}+`);
const trailingBlanks = new RegExp(`(?<!${pythonBlank})${pythonBlank}+$`);

/** transformers' marks of what the assistant wrote: they write nothing themselves. */
function withoutGenerationTags(source: string): string {
  return source
    .replaceAll(/\{%(-?)\s*generation\s*(-?)%\}/g, '{%$1 if true $2%}')
    .replaceAll(/\{%(-?)\s*endgeneration\s*(-?)%\}/g, '{%$1 endif $2%}');
}

function boundedRange(...bounds: number[]): number[] {
  const [start, stop] = bounds.length === 1 ? [0, bounds[0]!] : [bounds[0]!, bounds[1]!];
  const step = bounds[2] ?? 1;
  if (![start, stop, step].every(Number.isInteger) || step === 0)
    throw new Error('range() takes whole numbers and a step other than 0');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > maxRange) throw new BoundError(`a range must have at most ${maxRange} elements`, `${length}`);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** A parsed template that can be rendered any number of times. */
export class BoundedJinja {
  private readonly name: string;
  private readonly program: Statement;

  /** @throws FormatError where the template is too long or does not parse. */
  constructor(name: string, source: string) {
    this.name = name;
    if (source.length > maxJinjaLength) {
      throw new FormatError('template-bounds', {
        template: name,
        requirement: `must be at most ${maxJinjaLength} characters long`,
        actual: `${source.length}`,
      });
    }
    try {
      // Python's Jinja reads every line ending as "\n".
      this.program = parseTemplate(
        tokenizeTemplate(withoutGenerationTags(source).replaceAll(/\r\n?/g, '\n'), {
          lstrip_blocks: true,
          trim_blocks: true,
        }),
      );
    } catch (error) {
      throw new FormatError(
        'template-invalid',
        { template: name, reason: `does not parse as Jinja: ${reasonOf(error)}` },
        { cause: error },
      );
    }
  }

  /**
   * Renders with the given variables. `now` is what `strftime_now` shows.
   * @throws DataError `template-refused` where it calls `raise_exception`, `template-bounds`, `template-invalid`.
   */
  render(variables: Readonly<Record<string, unknown>>, now: Date): string {
    const environment = new BaseEnvironment();
    const globals: Readonly<Record<string, unknown>> = {
      false: false,
      true: true,
      none: null,
      False: false,
      True: true,
      None: null,
      range: boundedRange,
      strftime_now: (format: string) => strftime(now, format),
      raise_exception: (message: unknown) => {
        throw new Refusal(String(message));
      },
    };
    for (const [name, value] of Object.entries({ ...globals, ...variables })) {
      if (value !== undefined) environment.set(name, value);
    }
    try {
      const text = new BoundedInterpreter(
        environment,
        lengthOf(variables['messages']) + lengthOf(variables['tools']),
      ).run(this.program).value;
      return typeof text === 'string' ? text : String(text);
    } catch (error) {
      throw this.explain(error);
    }
  }

  private explain(error: unknown): Error {
    const template = this.name;
    if (error instanceof Refusal) {
      return new DataError('template-refused', { template, reason: clip(error.message) }, { cause: error });
    }
    if (error instanceof BoundError) {
      return new DataError(
        'template-bounds',
        { template, requirement: error.requirement, actual: error.actual },
        { cause: error },
      );
    }
    if (error instanceof RangeError) {
      const requirement = 'must neither nest without end nor make texts beyond memory';
      return new DataError('template-bounds', { template, requirement, actual: reasonOf(error) }, { cause: error });
    }
    return new DataError(
      'template-invalid',
      { template, reason: `cannot be rendered: ${reasonOf(error)}` },
      { cause: error },
    );
  }
}

function lengthOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
}

function clip(text: string): string {
  return text.length > 300 ? `${text.slice(0, 297)}...` : text;
}

function reasonOf(error: unknown): string {
  return clip(error instanceof Error ? error.message : String(error));
}
