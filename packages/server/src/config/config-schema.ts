import type { JsonSchema } from './json-schema.ts';
import { referencePattern } from './secret-reference.ts';
import type { Setting } from './setting.ts';
import { settingRows } from './settings-table.ts';

/** The JSON Schema of a configuration file. */
export function configSchema(): JsonSchema {
  const properties: Record<string, JsonSchema> = {
    $schema: { description: 'The path of this schema, for editors.', type: 'string' },
  };
  for (const [path, setting] of settingRows) {
    const [head = '', tail] = path.split('.');
    if (tail === undefined) {
      properties[head] = schemaOf(setting);
      continue;
    }
    const group = properties[head]?.properties ?? {};
    properties[head] = {
      type: 'object',
      properties: { ...group, [tail]: schemaOf(setting) },
      additionalProperties: false,
    };
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'event-runtime.config.json',
    description: 'Settings of event-runtime. A secret is given by reference.',
    type: 'object',
    properties,
    additionalProperties: false,
  };
}

function schemaOf(setting: Setting<unknown>): JsonSchema {
  const description = `${setting.about} Since ${setting.since}.`;
  if (!setting.secret) {
    const given = 'value' in setting.default ? setting.default.value : undefined;
    const byDefault = given === undefined ? {} : { default: inFile(given, setting) };
    return { description, ...setting.kind.schema, ...byDefault };
  }
  const reference: JsonSchema = { type: 'string', pattern: referencePattern };
  if (!setting.kind.many) return { description: `${description} A reference.`, ...reference };
  return { description: `${description} References.`, type: 'array', minItems: 1, items: reference };
}

/** A default as a file would have it: where a file has text for it (`32MiB`, `5s`), that text. */
function inFile(value: unknown, setting: Extract<Setting<unknown>, { secret: false }>): unknown {
  const { kind } = setting;
  if (Array.isArray(value) && kind.types.file === 'readonly string[]') {
    const text = kind.show(value);
    return text === '' ? [] : text.split(',');
  }
  return value;
}
