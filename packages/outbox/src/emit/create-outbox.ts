import { fromPg, type PgTransaction } from '../adapters/pg.ts';
import type { Statement, TransactionAdapter } from '../adapters/transaction-adapter.ts';
import type { Catalog, EventOf } from '../catalog/define-catalog.ts';
import { type EventDefinition, isList } from '../catalog/define-event.ts';
import type { InputOf } from '../catalog/standard-schema.ts';
import { producerError } from '../errors/codes.ts';
import { optionsCheck } from './checked-options.ts';
import { emitFailure } from './database-error.ts';
import type { CallOptions, EmitManyOptions, EmitOptions, EmitResult, EventOptions } from './emit-options.ts';
import { type EmitRow, emitManyStatement, emitStatement, toResult } from './emit-statement.ts';
import { type EventInput, type PrepareContext, prepareEvent } from './prepare-event.ts';
import { onlyIn, toTransactionId, transactionIdStatement } from './same-transaction.ts';
import { bytesBeyond } from './utf8-bytes.ts';

const mebibyte = 1024 * 1024;
/** The database takes no larger payload. */
const largestPayloadBytes = 32 * mebibyte;
/** Of one `emitMany`: the statement holds all of it in memory several times over. */
const largestCallBytes = 64 * mebibyte;

export interface OutboxOptions<C extends Catalog> {
  readonly catalog: C;
  /** The largest payload in bytes of UTF-8, at most 32 MiB. Default 8 MiB. */
  readonly maxPayloadBytes?: number;
}

/** One event of `emitMany`; the type keeps `data` fitting to `event`. */
export type Emission<Event extends EventDefinition> = Event extends EventDefinition
  ? {
      readonly event: Event;
      readonly data: InputOf<Event['schema']>;
      readonly options?: EventOptions;
    }
  : never;

/** Writes events into the caller's own transaction. */
export interface Outbox<C extends Catalog, Transaction> {
  /**
   * Writes one event, in one round trip; in two where its validator is asynchronous. It exists when the
   * transaction commits, and only then.
   *
   * @param transaction where the business row is written; see the adapter for what it takes
   * @throws ER2001 to ER2008 before anything is written; ER2004, ER2006, ER2009 or ER2011 from the
   *   database, after which PostgreSQL accepts nothing in this transaction but a rollback
   */
  emit<Event extends EventOf<C>>(
    transaction: Transaction,
    event: Event,
    data: InputOf<Event['schema']>,
    options?: EmitOptions,
  ): Promise<EmitResult>;

  /**
   * Writes many events in one statement, in their order: all or none.
   *
   * @param emissions no event is fine too; their payloads together may have 64 MiB
   * @param options for all events; an event's own options go before
   * @returns one result for each, in their order
   */
  emitMany(
    transaction: Transaction,
    emissions: ReadonlyArray<Emission<EventOf<C>>>,
    options?: EmitManyOptions,
  ): Promise<EmitResult[]>;
}

/**
 * Creates the outbox of a service.
 *
 * The adapter is given here, once, rather than around every transaction: the calls stay
 * `outbox.emit(tx, event, data)` with any library, and what an adapter needs (Drizzle's `sql`) is named
 * in one place. A service that uses two libraries creates two outboxes; they hold no state.
 *
 * @param options without `adapter`, a transaction is a `pg` client
 * @throws ER2010 when there is no catalogue; ER2008 when `adapter` is none, or `maxPayloadBytes` is out of range
 */
export function createOutbox<C extends Catalog>(options: OutboxOptions<C>): Outbox<C, PgTransaction>;
export function createOutbox<C extends Catalog, Transaction>(
  options: OutboxOptions<C> & { readonly adapter: TransactionAdapter<Transaction> },
): Outbox<C, Transaction>;
export function createOutbox<C extends Catalog>(
  options: OutboxOptions<C> & { readonly adapter?: TransactionAdapter<never> },
): Outbox<C, never> {
  const { catalog, adapter = fromPg(), maxPayloadBytes = 8 * mebibyte } = options;
  if (!Array.isArray((catalog as Catalog | undefined)?.events)) {
    throw producerError('ER2010', { detail: 'createOutbox was given no catalogue.' });
  }
  if (typeof adapter.execute !== 'function' || typeof adapter.inTransaction !== 'function') {
    throw producerError('ER2008', { detail: 'adapter is none: call it, as in fromPrisma().' });
  }
  if (!(maxPayloadBytes >= 1 && maxPayloadBytes <= largestPayloadBytes)) {
    throw producerError('ER2008', { detail: `maxPayloadBytes is not from 1 to ${largestPayloadBytes}.` });
  }
  return new TransactionalOutbox(adapter, { catalog, maxPayloadBytes });
}

class TransactionalOutbox<C extends Catalog, Transaction> implements Outbox<C, Transaction> {
  readonly #adapter: TransactionAdapter<Transaction>;
  readonly #settings: Omit<PrepareContext, 'checkOptions'>;

  constructor(adapter: TransactionAdapter<Transaction>, settings: Omit<PrepareContext, 'checkOptions'>) {
    this.#adapter = adapter;
    this.#settings = settings;
  }

  async emit<Event extends EventOf<C>>(
    transaction: Transaction,
    event: Event,
    data: InputOf<Event['schema']>,
    options: EmitOptions = {},
  ): Promise<EmitResult> {
    requireObject('options', options);
    const prepared = this.#prepare(transaction, [{ event, data, options }]);
    const { rows, within } =
      prepared instanceof Promise
        ? await this.#wait(transaction, prepared, options)
        : { rows: prepared, within: undefined };
    const [row] = rows;
    if (row === undefined) throw new TypeError('an event was lost');
    const statement = emitStatement(row, options.lock === 'entity');
    const [result] = await this.#send(transaction, statement, { rows, options, within });
    if (result === undefined) throw new TypeError(`${this.#adapter.library}: emit answered no row`);
    return result;
  }

  async emitMany(
    transaction: Transaction,
    emissions: ReadonlyArray<Emission<EventOf<C>>>,
    options: EmitManyOptions = {},
  ): Promise<EmitResult[]> {
    requireObject('options', options);
    if (!isList(emissions)) throw producerError('ER2008', { detail: 'emissions is no array.' });
    if ('idempotencyKey' in options) {
      throw producerError('ER2008', { detail: 'idempotencyKey belongs to one event, not to all.' });
    }
    const inputs = (emissions as ReadonlyArray<Partial<EventInput> | undefined>).map((each, index) => ({
      ...(each as EventInput),
      options: withOwn(options, each?.options),
      ordinal: index + 1,
    }));
    const prepared = this.#prepare(transaction, inputs);
    const { rows, within } =
      prepared instanceof Promise
        ? await this.#wait(transaction, prepared, options)
        : { rows: prepared, within: undefined };
    if (rows.length === 0) return [];
    const bytes = bytesBeyond(
      largestCallBytes,
      rows.map((row) => row.payload),
    );
    if (bytes !== undefined) {
      throw producerError('ER2005', {
        detail: `All events of one call: ${bytes} bytes, at most ${largestCallBytes}.`,
        remedy: 'Call emitMany several times in the transaction.',
      });
    }
    const statement = emitManyStatement(rows, options.lock === 'entity');
    const results = await this.#send(transaction, statement, { rows, options, within });
    if (results.length !== rows.length) {
      throw new TypeError(`${this.#adapter.library}: ${rows.length} events, ${results.length} answers`);
    }
    return results;
  }

  /**
   * Every check that can be made here, for all events, before anything is sent. Without a promise where no
   * validator needs one: an emit that somebody forgot to await is then still sent before the COMMIT or
   * ROLLBACK that follows, not behind it, where it would be a transaction of its own.
   */
  #prepare(transaction: Transaction, inputs: readonly EventInput[]): EmitRow[] | Promise<EmitRow[]> {
    this.#requireTransaction(transaction);
    const context = { ...this.#settings, checkOptions: optionsCheck() };
    const rows: EmitRow[] = [];
    for (const [index, input] of inputs.entries()) {
      const row = prepareEvent(input, context);
      if (row instanceof Promise) return prepareRest(rows, { row, rest: inputs.slice(index + 1), context });
      rows.push(row);
    }
    return rows;
  }

  /**
   * Waits for asynchronous validators. Whoever did not await this emit may end the transaction meanwhile, and the
   * connection may be in another one when they are done: so the transaction is asked for its id now, before
   * its next statement, and the events are written in that one alone.
   */
  async #wait(
    transaction: Transaction,
    prepared: Promise<EmitRow[]>,
    options: CallOptions,
  ): Promise<{ readonly rows: EmitRow[]; readonly within: string }> {
    const asked = options.signal?.aborted === true ? Promise.resolve('') : this.#transactionId(transaction);
    const [rows, within] = await Promise.allSettled([prepared, asked]);
    if (rows.status === 'rejected') throw rows.reason;
    if (within.status === 'rejected') throw within.reason;
    return { rows: rows.value, within: within.value };
  }

  async #transactionId(transaction: Transaction): Promise<string> {
    let id: string | undefined;
    try {
      id = toTransactionId(await this.#adapter.execute(transaction, transactionIdStatement));
    } catch (thrown) {
      throw emitFailure(thrown, { idempotent: false });
    }
    if (id === undefined) throw this.#noTransaction();
    return id;
  }

  #requireTransaction(transaction: Transaction): void {
    const known = typeof transaction === 'object' && transaction !== null;
    if (!known || this.#adapter.inTransaction(transaction) === false) throw this.#noTransaction();
  }

  #noTransaction(): Error {
    return producerError('ER2003', { detail: `(${this.#adapter.library})` });
  }

  async #send(
    transaction: Transaction,
    statement: Statement,
    call: {
      readonly rows: readonly EmitRow[];
      readonly options: CallOptions;
      /** The id of the transaction in which alone it is written; undefined where nothing was waited for. */
      readonly within?: string | undefined;
    },
  ): Promise<EmitResult[]> {
    // Once more: validators may have taken their time, and the transaction may have ended meanwhile.
    this.#requireTransaction(transaction);
    call.options.signal?.throwIfAborted();
    const { within } = call;
    const sent = within === undefined ? statement : onlyIn(within, statement);
    let results: EmitResult[];
    try {
      results = (await this.#adapter.execute(transaction, sent)).map(toResult);
    } catch (thrown) {
      throw emitFailure(thrown, { idempotent: call.rows.some((row) => row.idempotencyKey !== null) });
    }
    if (within !== undefined && results.length === 0) throw this.#noTransaction();
    return results;
  }
}

/** The types say so; JavaScript does not ask them. */
function requireObject(name: string, value: unknown): void {
  if (typeof value === 'object' && value !== null) return;
  throw producerError('ER2008', {
    detail: `${name} is ${value === null ? 'null' : typeof value}, no object.`,
  });
}

async function prepareRest(
  rows: EmitRow[],
  open: {
    readonly row: Promise<EmitRow>;
    readonly rest: readonly EventInput[];
    readonly context: PrepareContext;
  },
): Promise<EmitRow[]> {
  rows.push(await open.row);
  for (const input of open.rest) rows.push(await prepareEvent(input, open.context));
  return rows;
}

/** An option that is there but undefined was left out: what holds for the whole call holds. */
function withOwn(shared: EmitManyOptions, own: EventOptions | undefined): EventOptions {
  if (own === undefined) return shared;
  return {
    ...shared,
    ...Object.fromEntries(Object.entries(own ?? {}).filter(([, value]) => value !== undefined)),
  };
}
