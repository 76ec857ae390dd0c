/** Where the value of a setting was given. */
export interface Origin {
  readonly kind: 'flag' | 'environment' | 'file' | 'default';
  /** The flag, the variable, the file's name; for a default the setting that it was taken from, else nothing. */
  readonly name: string;
}

/** For the end of a sentence: `from EVENT_RUNTIME_SLOT`. */
export function fromOrigin(origin: Origin): string {
  return origin.kind === 'default' ? 'by default' : `from ${origin.name}`;
}

/** For a table: `flag --relay-name`. */
export function describeOrigin({ kind, name }: Origin): string {
  return name === '' ? kind : `${kind} ${name}`;
}
