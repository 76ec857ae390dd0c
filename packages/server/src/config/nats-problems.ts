import { covers, defaultSubject, type Route, RoutesTo, SubjectTemplate } from '@event-runtime/runtime';
import { type ConfiguredNats, nameOfSink, type SinkSettings } from './configured-sink.ts';
import { type Objection, shown } from './parsed.ts';
import { overlap } from './subject-wildcard.ts';

type Nats = ConfiguredNats<number>;

/** What is wrong with the sinks into NATS taken together, and with the routes to them. */
export function natsObjections(
  sinks: readonly SinkSettings[],
  routes: readonly Route[] | undefined,
): readonly Objection[] {
  return sinks.flatMap((sink, index) => {
    if (sink.type !== 'nats') return [];
    const own = [...windowObjections(sink), ...subjectObjections(sink, routes)];
    return [
      ...streamTwice(sinks, index),
      ...subjectsTwice(sinks, { index, routes }),
      ...own.map((one) => ({ ...one, at: `[${index}]${one.at}` })),
    ];
  });
}

/**
 * JetStream knows an event by its id, in the whole stream: what a second sink sends of it is acknowledged and dropped.
 * Whatever the servers: two names may be of one cluster.
 */
function streamTwice(sinks: readonly SinkSettings[], index: number): readonly Objection[] {
  const { stream } = sinks[index] as Nats;
  const first = sinks
    .slice(0, index)
    .find((other): other is Nats => other.type === 'nats' && other.stream.name === stream.name);
  if (first === undefined) return [];
  const found = `is ${shown(stream.name)}, which the sink ${first.name} fills already`;
  const why = 'JetStream would take the second message of each event for a repetition, and drop it';
  const allowed = `${why}: give it another stream, or have one sink and routes with a subject`;
  return [{ at: `[${index}].stream.name`, found, allowed }];
}

/** A subject belongs to one stream of an account. Whoever is known to the server in another way may be of another one. */
function subjectsTwice(
  sinks: readonly SinkSettings[],
  of: { readonly index: number; readonly routes: readonly Route[] | undefined },
): readonly Objection[] {
  const { index, routes } = of;
  const sink = sinks[index] as Nats;
  const others = sinks.slice(0, index).filter((other): other is Nats => {
    return other.type === 'nats' && other.stream.name !== sink.stream.name && sameAccount(other, sink);
  });
  const mine = madeOf(sink, routes);
  return others.flatMap((other) => {
    const theirs = madeOf(other, routes);
    const twice = mine.find((one) => theirs.some((their) => overlap(one, their)));
    if (twice === undefined) return [];
    const found = `would have ${twice}, of which the sink ${other.name} has a part in another stream`;
    const allowed = 'JetStream keeps a subject in one stream: give one of the sinks another subject';
    return [{ at: `[${index}].stream.subjects`, found, allowed }];
  });
}

function sameAccount(one: Nats, other: Nats): boolean {
  const known = ({ access = {} }: Nats): string => {
    const { token, user, password, nkeySeed, credentials } = access;
    return JSON.stringify([token, user, password, nkeySeed, credentials]);
  };
  return one.servers.some((server) => other.servers.includes(server)) && known(one) === known(other);
}

/** The subjects of the stream, where it is made. */
function madeOf(sink: Nats, routes: readonly Route[] | undefined): readonly string[] {
  const { subjects, create = true } = sink.stream;
  if (!create) return [];
  return subjects ?? templatesOf(sink, routes).map(({ wildcard }) => wildcard);
}

function windowObjections({ stream }: Nats): readonly Objection[] {
  const { duplicateWindow, maxAge } = stream;
  if (duplicateWindow === undefined || maxAge === undefined || duplicateWindow <= maxAge) return [];
  const allowed = 'JetStream forgets an event with its message: it must not be longer than maxAge';
  return [{ at: '.stream.duplicateWindow', found: 'is longer than stream.maxAge', allowed }];
}

/** Whether the stream, where it is made, can take every subject of the sink and of its routes. */
function subjectObjections(sink: Nats, routes: readonly Route[] | undefined): readonly Objection[] {
  const { subjects, create = true } = sink.stream;
  // The stream that is there then says what it takes, when it is opened.
  if (!create) return [];
  const templates = templatesOf(sink, routes);
  if (subjects === undefined) return overlapping(templates);
  const objections: Objection[] = [];
  for (const { text, wildcard, from } of templates) {
    if (subjects.some((subject) => covers(subject, wildcard))) continue;
    const found = `do not take in ${wildcard}, the subjects of ${text} (${from})`;
    objections.push({ at: '.stream.subjects', found, allowed: 'they must take in all that the sink sends' });
  }
  const given = subjects.map((text) => ({ text, wildcard: text, from: 'stream.subjects' }));
  return [...objections, ...overlapping(given)];
}

interface Template {
  readonly text: string;
  readonly wildcard: string;
  /** Where it is written. */
  readonly from: string;
}

function templatesOf(sink: Nats, routes: readonly Route[] | undefined): readonly Template[] {
  const { subject = defaultSubject } = sink;
  const from = sink.subject === undefined ? 'the default' : 'subject';
  const own = new RoutesTo(sink.name, routes).ownSubject ? [{ text: subject, from }] : [];
  const routed = (routes ?? []).flatMap(({ to, subject: text }, index) =>
    text === undefined || !to.includes(nameOfSink(sink)) ? [] : [{ text, from: `routes[${index}].subject` }],
  );
  return [...own, ...routed].map((one) => ({ ...one, wildcard: new SubjectTemplate(one.text).wildcard }));
}

/** JetStream makes no stream of subjects of which one event could have two; one within another is left out. */
function overlapping(templates: readonly Template[]): readonly Objection[] {
  return templates.flatMap((one, index): readonly Objection[] => {
    const other = templates.slice(0, index).find(({ wildcard }) => {
      const within = covers(wildcard, one.wildcard) || covers(one.wildcard, wildcard);
      return overlap(wildcard, one.wildcard) && (!within || one.from === 'stream.subjects');
    });
    if (other === undefined) return [];
    const found = `would be ${other.wildcard} and ${one.wildcard}, of ${other.text} (${other.from}) and ${one.text} (${one.from})`;
    const allowed =
      one.from === 'stream.subjects'
        ? 'JetStream refuses subjects that overlap'
        : 'JetStream refuses subjects that overlap: change one, or give stream.subjects that take in both';
    return [{ at: '.stream.subjects', found, allowed }];
  });
}
