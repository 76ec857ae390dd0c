import { isIP } from 'node:net';
import { type Parsed, refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

const allowed = 'a network like 10.1.0.0/16, or an address like ::1';

/** An IPv4 or IPv6 network in CIDR form; an address alone is the network of that address. */
export const network: ValueKind<string> = {
  allowed,
  placeholder: 'network',
  // The form only; `read` knows the rest.
  schema: { type: 'string', pattern: String.raw`^[0-9A-Fa-f.:]+(?:/(?:0|[1-9]\d{0,2}))?$` },
  types: { file: 'string', value: 'string' },
  fromText: read,
  fromFile: read,
  show: String,
};

function read(given: unknown): Parsed<string> {
  if (typeof given !== 'string') return refused(given, allowed);
  const [address = '', bits, ...rest] = given.split('/');
  const version = address.includes('%') ? 0 : isIP(address);
  const most = version === 4 ? 32 : 128;
  const sized = bits === undefined || (/^(?:0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= most);
  return version !== 0 && sized && rest.length === 0 ? { value: given } : refused(given, allowed);
}
