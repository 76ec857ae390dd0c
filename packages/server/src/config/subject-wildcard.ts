/** Whether there is a subject that both wildcards take. */
export function overlap(one: string, other: string): boolean {
  const [mine, theirs] = [one.split('.'), other.split('.')];
  for (let index = 0; index < Math.max(mine.length, theirs.length); index += 1) {
    const [a, b] = [mine[index], theirs[index]];
    if (a === undefined || b === undefined) return false;
    if (a === '>' || b === '>') return true;
    if (a !== '*' && b !== '*' && a !== b) return false;
  }
  return true;
}
