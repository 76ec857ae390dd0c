// In the order of their ASCII codes, so that ids sort as the event ids do.
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const digits = 22;
const prefix = 'msg_';
const values: ReadonlyMap<string, bigint> = new Map(
  Array.from(alphabet, (digit, value) => [digit, BigInt(value)]),
);

/**
 * The webhook message id of an event: `msg_` and the 16 bytes of the event's UUID as 22 digits of base 62.
 *
 * It is the same at every attempt and at every endpoint, has no full stop (the signed text is
 * `id.timestamp.body`), and can be turned back: {@link eventIdOf}.
 *
 * @throws TypeError not a UUID
 */
export function messageId(eventId: string): string {
  if (!/^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i.test(eventId)) throw new TypeError('not a UUID');
  let rest = BigInt(`0x${eventId.replaceAll('-', '')}`);
  let text = '';
  for (let place = 0; place < digits; place += 1) {
    text = (alphabet[Number(rest % 62n)] ?? '') + text;
    rest /= 62n;
  }
  return prefix + text;
}

/** The event id of a message id; null for anything that {@link messageId} does not make. */
export function eventIdOf(id: string): string | null {
  if (!id.startsWith(prefix) || id.length !== prefix.length + digits) return null;
  let number = 0n;
  for (const digit of id.slice(prefix.length)) {
    const value = values.get(digit);
    if (value === undefined) return null;
    number = number * 62n + value;
  }
  if (number >= 1n << 128n) return null;
  const hex = number.toString(16).padStart(32, '0');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
