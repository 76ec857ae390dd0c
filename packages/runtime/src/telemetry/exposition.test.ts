import { expect, test } from 'vitest';
import { Exposition } from './exposition.ts';
import { type MetricName, metrics } from './metrics.ts';

test('values in the order of the table, each metric with its help and type once', () => {
  const exposition = new Exposition();
  exposition.set('event_runtime_sink_delivered_total', 3, { sink: 'b' });
  exposition.set('event_runtime_database_up', 1);
  exposition.set('event_runtime_sink_delivered_total', 4, { sink: 'a' });
  exposition.set('event_runtime_sink_delivered_total', 5, { sink: 'b' });
  expect(exposition.toString()).toBe(
    [
      `# HELP event_runtime_database_up ${metrics.event_runtime_database_up.help}`,
      '# TYPE event_runtime_database_up gauge',
      'event_runtime_database_up 1',
      `# HELP event_runtime_sink_delivered_total ${metrics.event_runtime_sink_delivered_total.help}`,
      '# TYPE event_runtime_sink_delivered_total counter',
      'event_runtime_sink_delivered_total{sink="b"} 5',
      'event_runtime_sink_delivered_total{sink="a"} 4',
      '',
    ].join('\n'),
  );
});

test('a name that would end its label or its line early cannot', () => {
  const exposition = new Exposition();
  exposition.set('event_runtime_sink_paused', 0, { sink: 'a"} 1\nevil\\' });
  expect(exposition.toString().split('\n')[2]).toBe(
    String.raw`event_runtime_sink_paused{sink="a\"} 1\nevil\\"} 0`,
  );
});

test('null is left out; what is no number is refused', () => {
  const exposition = new Exposition();
  exposition.set('event_runtime_slot_safe_wal_bytes', null);
  expect(exposition.toString()).toBe('');
  expect(() => exposition.set('event_runtime_webhook_pending', Number.NaN)).toThrow(TypeError);
});

test('names and labels are what Prometheus takes, units and counters are named as it asks', () => {
  for (const name of Object.keys(metrics) as MetricName[]) {
    const { type, help, labels } = metrics[name];
    expect(name).toMatch(/^(event_runtime|process|nodejs)_[a-z0-9_]+$/);
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    expect(help).toMatch(/\.$/);
    for (const label of labels) expect(['sink', 'mode', 'state']).toContain(label);
  }
});
