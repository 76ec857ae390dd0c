/** `select *`, `select t.*` and `returning *`: what they yield changes with the next migration. */
const star = /\b(?:select|returning)\s+(?:distinct\s+|all\s+)?(?:[a-z_]\w*\.)?\*/i;

/** Whether a piece of SQL asks for all columns. `count(*)` does not. */
export function hasSelectStar(sql: string): boolean {
  return star.test(sql);
}

/** Line numbers (from 1) of a `.sql` file that ask for all columns; `--` comments do not count. */
export function selectStarLines(sql: string): number[] {
  const code = sql.replaceAll(/--[^\n]*/g, '');
  const found: number[] = [];
  for (const match of code.matchAll(new RegExp(star.source, 'gi'))) {
    found.push(code.slice(0, match.index).split('\n').length);
  }
  return found;
}
