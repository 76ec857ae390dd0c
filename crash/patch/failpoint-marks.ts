/** A comment of its own line between two statements: `// failpoint: relay.delivered`. */
const mark = /^([ \t]*)\/\/ failpoint: (\S+)[ \t]*$/gm;

const wellNamed = /^[a-z]+(?:[.-][a-z]+)*$/;

/** The name under which the hook is imported: no product code has it. */
const hook = '__crashFailpoint';

export interface InstrumentedText {
  readonly text: string;
  /** In the order of the text. */
  readonly failpoints: readonly string[];
}

/**
 * Replaces the marks of a built file by calls of the hook.
 *
 * @param hookSpecifier what the file imports `failpoint` from
 * @throws Error when a name has other characters than lower-case letters, dots and hyphens, or a mark shares its line
 */
export function instrument(text: string, hookSpecifier: string): InstrumentedText {
  const failpoints: string[] = [];
  const called = text.replace(mark, (_line, indent: string, name: string) => {
    if (!wellNamed.test(name)) throw new Error(`not the name of a failpoint: ${name}`);
    failpoints.push(name);
    return `${indent}${hook}(${JSON.stringify(name)});`;
  });
  const left = /^.*\/\/ failpoint:.*$/m.exec(called)?.[0];
  if (left !== undefined) throw new Error(`not a failpoint on a line of its own: ${left.trim()}`);
  if (failpoints.length === 0) return { text, failpoints };
  // At the end: imports are hoisted, and the lines keep their numbers.
  const imported = `import { failpoint as ${hook} } from ${JSON.stringify(hookSpecifier)};`;
  return { text: `${called}\n${imported}\n`, failpoints };
}
