import type { SecretBox } from './secret-box.ts';

const capacity = 10_000;

/** Opened secrets by endpoint, so that each is decrypted once and not for each delivery. */
export class SecretCache {
  readonly #box: SecretBox;
  readonly #opened = new Map<string, { readonly sealed: Buffer; readonly secret: string }>();

  constructor(box: SecretBox) {
    this.#box = box;
  }

  /** @throws ER4004 */
  open(sealed: Buffer, context: { readonly endpointId: string }): string {
    const known = this.#opened.get(context.endpointId);
    if (known?.sealed.equals(sealed) === true) return known.secret;
    const secret = this.#box.open(sealed, context);
    if (this.#opened.size >= capacity) this.#opened.clear();
    this.#opened.set(context.endpointId, { sealed, secret });
    return secret;
  }
}
