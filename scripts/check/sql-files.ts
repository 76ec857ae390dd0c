import { selectStarLines } from '../lint/select-star.ts';
import { repositoryFiles, textOf } from './repository-files.ts';

/** `.sql` files of the packages that ask for all columns. What stands in TypeScript is the linter's business. */
export async function sqlFiles(root: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const file of await repositoryFiles(root)) {
    if (!/^packages\/.+\.sql$/.test(file)) continue;
    for (const line of selectStarLines((await textOf(root, file)) ?? '')) {
      found.push(`${file}:${line}: name the columns: no \`select *\``);
    }
  }
  return found;
}
