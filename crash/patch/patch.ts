/** A change of one built file, by its text. */
export interface Patch {
  /** Below `packages/`, with forward slashes: `runtime/dist/webhooks/deliverer.js`. */
  readonly file: string;
  /** Must be there exactly once. */
  readonly find: string;
  readonly replace: string;
}

/**
 * Applies a patch to the text of its file.
 *
 * @throws Error when `find` is not there exactly once: a mutant that no longer applies is a defect, for it would be
 *   run as the right program
 */
export function applyPatch(text: string, patch: Patch): string {
  const times = text.split(patch.find).length - 1;
  if (times !== 1) {
    throw new Error(`packages/${patch.file}: found ${times} times, not once: ${JSON.stringify(patch.find)}`);
  }
  // A function, for `$&` in a replacement text means something.
  return text.replace(patch.find, () => patch.replace);
}
