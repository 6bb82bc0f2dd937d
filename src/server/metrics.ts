/** Counters of the server in Prometheus' text form. */

/** Upper bounds of the buckets of request times, in seconds. */
const buckets = [0.1, 0.3, 1, 3, 10, 30, 100, 300];

export class ServerMetrics {
  private promptTokens = 0;
  private answerTokens = 0;
  private readonly requests = new Map<string, number>();
  private readonly times = buckets.map(() => 0);
  private timeSum = 0;
  private timeCount = 0;

  count({ promptTokens, answerTokens }: { readonly promptTokens: number; readonly answerTokens: number }): void {
    this.promptTokens += promptTokens;
    this.answerTokens += answerTokens;
  }

  /** A request was answered. `path` is one of the server's own, so that strangers cannot make names. */
  request(path: string, status: number, seconds: number): void {
    const key = `path="${path}",status="${status}"`;
    this.requests.set(key, (this.requests.get(key) ?? 0) + 1);
    buckets.forEach((bound, i) => {
      if (seconds <= bound) this.times[i]!++;
    });
    this.timeSum += seconds;
    this.timeCount++;
  }

  /** The text of `/metrics`. */
  text(load: { readonly rows: number; readonly waiting: number }, isReady: boolean): string {
    const lines: string[] = [];
    const metric = (name: string, type: string, help: string, values: readonly (readonly [string, number])[]): void => {
      lines.push(`# HELP fettle_${name} ${help}`, `# TYPE fettle_${name} ${type}`);
      for (const [labels, value] of values) lines.push(`fettle_${name}${labels} ${value}`);
    };
    metric('engine_ready', 'gauge', 'Whether the model can answer.', [['', isReady ? 1 : 0]]);
    metric('rows_running', 'gauge', 'Answers that are computed.', [['', load.rows]]);
    metric('prompts_waiting', 'gauge', 'Prompts that wait.', [['', load.waiting]]);
    metric('prompt_tokens_total', 'counter', 'Tokens of prompts.', [['', this.promptTokens]]);
    metric('answer_tokens_total', 'counter', 'Tokens of answers.', [['', this.answerTokens]]);
    metric(
      'requests_total',
      'counter',
      'Requests by path and status.',
      [...this.requests].map(([key, n]) => [`{${key}}`, n]),
    );
    lines.push('# HELP fettle_request_seconds Time of requests.', '# TYPE fettle_request_seconds histogram');
    buckets.forEach((bound, i) => lines.push(`fettle_request_seconds_bucket{le="${bound}"} ${this.times[i]}`));
    lines.push(
      `fettle_request_seconds_bucket{le="+Inf"} ${this.timeCount}`,
      `fettle_request_seconds_sum ${this.timeSum}`,
      `fettle_request_seconds_count ${this.timeCount}`,
    );
    return `${lines.join('\n')}\n`;
  }
}
