import { type AttachedTable, attachedTables } from '@event-runtime/runtime';
import type pg from 'pg';
import { type Check, fail, ok } from './check.ts';

/** Whether the rows of each attached table become events. Nothing where none is attached. */
export async function tableChecks(client: pg.Client): Promise<Check[]> {
  return (await attachedTables(client)).map(tableCheck);
}

function tableCheck({ table, trigger, disabled, missingColumns }: AttachedTable): Check {
  const name = `table ${table}`;
  if (trigger === 'missing') return fail({ code: 'ER1405', name, seen: 'its trigger is missing' });
  if (trigger === 'disabled') {
    const fix = disabled.map((each) => `ALTER TABLE ${each} ENABLE TRIGGER event_runtime_emit;`).join(' ');
    return fail({ code: 'ER1405', name, seen: `its trigger is disabled on ${disabled.join(', ')}`, fix });
  }
  if (missingColumns.length > 0) {
    return fail({ code: 'ER1406', name, seen: `it has no column ${missingColumns.join(', ')}` });
  }
  return ok({ code: 'ER1405', name, seen: 'its rows become events' });
}
