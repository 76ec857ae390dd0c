/** `[2, 12, 0]` of any text with `2.12.0` in it; undefined when there is none. */
export function versionIn(text: string): readonly [number, number, number] | undefined {
  const match = /(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
}

/** Whether a version is at least another one, compared part by part. */
export function atLeast(version: readonly number[], floor: readonly number[]): boolean {
  for (const [index, wanted] of floor.entries()) {
    const part = version[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}
