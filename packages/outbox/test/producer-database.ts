import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { createMigratedDatabase, fewDays } from '../../runtime/src/testing/migrated-database.ts';
import { scramVerifier } from '../../runtime/src/testing/scram-verifier.ts';

/** A migrated database with a business table, and what an application may and may not do in it. */
export interface ProducerDatabase extends AsyncDisposable {
  /** A login that may emit and write the business table. */
  readonly producerUrl: string;
  /** A login that may write the business table only. */
  readonly strangerUrl: string;
  /** A superuser's connection: it sees every row. */
  readonly observer: pg.Client;
}

export async function createProducerDatabase(clusterUrl: string): Promise<ProducerDatabase> {
  const database = await createMigratedDatabase(clusterUrl, fewDays);
  const observer = new pg.Client({ connectionString: database.url });
  await observer.connect();
  const password = randomBytes(12).toString('hex');
  const verifier = scramVerifier(password);
  const producer = `producer_${database.name}`;
  const stranger = `stranger_${database.name}`;
  await observer.query(`
    create role ${producer} login password '${verifier}' in role event_runtime_producer;
    create role ${stranger} login password '${verifier}';
    create table business_order (id text primary key);
    grant select, insert on business_order to ${producer}, ${stranger}`);
  return {
    producerUrl: database.urlFor(producer, password),
    strangerUrl: database.urlFor(stranger, password),
    observer,
    async [Symbol.asyncDispose]() {
      await observer.query(`drop owned by ${producer}, ${stranger}; drop role ${producer}, ${stranger}`);
      await observer.end();
      await database[Symbol.asyncDispose]();
    },
  };
}
