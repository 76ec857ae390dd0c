import type { Route } from '@event-runtime/runtime';
import { nameOfSink, type SinkSettings } from './configured-sink.ts';
import { withNearest } from './kinds/one-of.ts';
import { type Objection, shown } from './parsed.ts';

/** A route that leads nowhere, or wants what its sink cannot do, and a sink that no route leads to. */
export function routeObjections(
  routes: readonly Route[],
  sinks: readonly SinkSettings[],
): readonly Objection[] {
  const names = sinks.map(nameOfSink);
  const ofRoutes = routes.flatMap((route, index) => {
    const all = [...unknownSinks(route, names), ...uselessMembers(route, sinks)];
    return all.map((one) => ({ ...one, at: `[${index}]${one.at}` }));
  });
  const alone = names.filter((name) => !routes.some(({ to }) => to.includes(name)));
  const ofSinks = alone.map((name) => ({
    ...{ at: '', found: `lead nowhere to the sink ${name}` },
    allowed: 'each sink needs a route, or is not needed',
  }));
  return [...ofRoutes, ...ofSinks];
}

function unknownSinks({ to }: Route, names: readonly string[]): readonly Objection[] {
  return to.flatMap((name, place) => {
    if (names.includes(name)) return [];
    const allowed = withNearest(`it must be one of ${names.join(', ')}`, { given: name, words: names });
    return [{ at: `.to[${place}]`, found: `is ${shown(name)}`, allowed }];
  });
}

/** The deliveries to webhooks read the event from the outbox: whoever hides something there must not be led to believe it. */
function uselessMembers(route: Route, sinks: readonly SinkSettings[]): readonly Objection[] {
  const types = new Map(sinks.map((sink) => [nameOfSink(sink), sink.type]));
  return route.to.flatMap((name): readonly Objection[] => {
    const type = types.get(name);
    const found = `leads to the sink ${name}`;
    const objections: Objection[] = [];
    if (route.transform !== undefined && type === 'webhooks') {
      const why = 'webhooks are sent the payload as it was emitted';
      objections.push({
        at: '.transform',
        found,
        allowed: `${why}: give that sink a route without transform`,
      });
    }
    if (route.subject !== undefined && type !== undefined && type !== 'nats' && type !== 'custom') {
      const why = 'only sinks of type nats and custom have subjects';
      objections.push({ at: '.subject', found, allowed: `${why}: give that sink a route without subject` });
    }
    return objections;
  });
}
