import { homedir } from 'node:os';
import { repositoryFiles, textOf } from './repository-files.ts';

/** A person's folder, on any system; a name in angle brackets is an example. */
const personal = /(?<![\w.-])(?:\/home\/|\/Users\/|[A-Z]:\\Users\\)[\w.-]+[/\\]/;

/** Places of one machine that got into a file: they mean nothing to anybody else. */
export async function machinePaths(root: string): Promise<readonly string[]> {
  const own = [root, homedir()].filter((path) => path.length > 1).map((path) => `${path}/`);
  const found: string[] = [];
  for (const file of await repositoryFiles(root)) {
    const text = await textOf(root, file);
    if (text === undefined) continue;
    for (const [index, line] of text.split('\n').entries()) {
      const path = own.find((candidate) => line.includes(candidate)) ?? personal.exec(line)?.[0];
      if (path !== undefined) found.push(`${file}:${index + 1}: ${path} is a path of one machine`);
    }
  }
  return found;
}
