// Records what PostgreSQL 15 and 18 send for the scenario, as the decoder's fixtures:
//   node scripts/record-pgoutput.ts
// Commit the result. Positions, times and transaction ids differ from one recording to the next.
import { writeFile } from 'node:fs/promises';
import pg from 'pg';
import { CopyBoth } from '../packages/runtime/src/replication/copy-both.ts';
import { encodeStatusUpdate } from '../packages/runtime/src/replication/frames.ts';
import { zeroLsn } from '../packages/runtime/src/replication/lsn.ts';
import { ReplicationConnection } from '../packages/runtime/src/replication/replication-connection.ts';
import { createSlot } from '../packages/runtime/src/replication/slot.ts';
import { EmbeddedPostgres } from '../packages/runtime/src/testing/embedded-postgres.ts';
import { encodeRecording } from '../packages/runtime/src/testing/pgoutput-recording.ts';
import { endMarker, scenario, setUp } from './fuzz/scenario.ts';

const fixtures = new URL('../packages/runtime/src/replication/pgoutput/fixtures/', import.meta.url);
const marker = Buffer.from(`${endMarker}\0`);

/** Everything that one slot has to say, up to the marker. */
async function record(url: string, init: { slot: string; binary: boolean }): Promise<Buffer> {
  await using connection = await ReplicationConnection.open({ connectionString: url });
  const frames: Buffer[] = [];
  const over = Promise.withResolvers<void>();
  const settings = [`proto_version '1'`, `publication_names '"recorded"'`, `messages 'true'`];
  if (init.binary) settings.push(`binary 'true'`);
  const copy = await CopyBoth.start({
    socket: connection.socket,
    command: `START_REPLICATION SLOT "${init.slot}" LOGICAL 0/0 (${settings.join(', ')})`,
    receiver: {
      data(content) {
        const frame = Buffer.from(content.bytes.subarray(content.position, content.end));
        if (frame.includes(marker)) over.resolve();
        else frames.push(frame);
      },
      chunkEnded: () => undefined,
      ended: over.reject,
    },
  });
  // The answer is a keepalive: the one kind that may not come by itself.
  copy.send(encodeStatusUpdate({ confirmed: zeroLsn, now: Date.now(), replyRequested: true }));
  await over.promise;
  copy.stop();
  return encodeRecording({ serverVersion: connection.identity.serverVersion, frames });
}

for (const [major, binaries] of [
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
] as const) {
  await using server = await EmbeddedPostgres.start({ package: binaries });
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  for (const statement of setUp) await client.query(statement);
  const slots = [
    { slot: 'as_text', binary: false, file: `postgres-${major}.bin` },
    { slot: 'as_binary', binary: true, file: `postgres-${major}-binary.bin` },
  ];
  for (const { slot } of slots) await createSlot(client, { slot });
  for (const statement of scenario) await client.query(statement);
  await client.query(`select pg_logical_emit_message(false, '${endMarker}', '')`);
  await client.end();
  for (const { file, ...slot } of slots) {
    const bytes = await record(server.url, slot);
    await writeFile(new URL(file, fixtures), bytes);
    process.stdout.write(`${file}: ${bytes.length} bytes\n`);
  }
}
