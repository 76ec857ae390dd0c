declare const lsn: unique symbol;

/** A position in the write-ahead log: bytes since the beginning of time, as PostgreSQL's `pg_lsn`. */
export type Lsn = bigint & { readonly [lsn]: true };

/** Brands a number that came as 64 bits from the protocol. */
export function toLsn(value: bigint): Lsn {
  return value as Lsn;
}

/** The position before all others. */
export const zeroLsn: Lsn = toLsn(0n);

/** Reads PostgreSQL's text form, `16/B374D848`. @throws TypeError for anything else */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text);
  if (match === null) throw new TypeError(`not an LSN: ${text.slice(0, 40)}`);
  return toLsn((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`));
}

/** PostgreSQL's text form, `16/B374D848`. */
export function formatLsn(value: Lsn): string {
  return `${(value >> 32n).toString(16).toUpperCase()}/${(value & 0xffff_ffffn).toString(16).toUpperCase()}`;
}
