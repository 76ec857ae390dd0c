import { type MetricLabel, type MetricName, metrics } from './metrics.ts';

/**
 * One answer to a scrape: values are set, and written in Prometheus's text format.
 * Source: "Exposition formats", version 0.0.4, prometheus.io.
 */
export class Exposition {
  /** To be sent with the text. */
  static readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  readonly #samples = new Map<MetricName, Map<string, number>>();

  /**
   * Sets a value; the last one of the same labels counts. Null says that there is none.
   *
   * @throws TypeError for a value that is no number: a wrong one is worse than none
   */
  set<Name extends MetricName>(
    name: Name,
    value: number | null,
    labels?: Readonly<Record<MetricLabel<Name>, string>>,
  ): void {
    if (value === null) return;
    if (!Number.isFinite(value)) throw new TypeError(`${name} is ${value}`);
    const samples = this.#samples.get(name) ?? new Map<string, number>();
    samples.set(labelText(name, labels), value);
    this.#samples.set(name, samples);
  }

  /** In the order of the table. A metric without a value is left out. */
  toString(): string {
    const lines: string[] = [];
    for (const name of Object.keys(metrics) as MetricName[]) {
      const samples = this.#samples.get(name);
      if (samples === undefined) continue;
      const { type, help } = metrics[name];
      lines.push(`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`);
      for (const [labels, value] of samples) lines.push(`${name}${labels} ${value}`);
    }
    return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
  }
}

function labelText(name: MetricName, labels: Readonly<Record<string, string>> = {}): string {
  const parts = metrics[name].labels.map((label) => {
    const value = labels[label];
    if (value === undefined) throw new TypeError(`${name} has no label ${label}`);
    return `${label}="${escaped(value).replaceAll('"', String.raw`\"`)}"`;
  });
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`);
}
