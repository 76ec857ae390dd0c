import { readFile, stat } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path/posix';
import { describe, expect, test } from 'vitest';
import { repositoryFiles } from '../check/repository-files.ts';
import { anchors, linkTargets } from './markdown.ts';

const root = join(import.meta.dirname, '../..');

/** What is wrong with the links of one page; nothing when each leads somewhere. */
async function brokenLinks(file: string): Promise<string[]> {
  const broken: string[] = [];
  for (const target of linkTargets(await readFile(join(root, file), 'utf8'))) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue;
    const [path = '', anchor] = target.split('#');
    const to = path === '' ? file : normalize(join(dirname(file), decodeURI(path)));
    if (to.startsWith('..')) {
      broken.push(`${target}: leaves the repository`);
      continue;
    }
    const found = await stat(join(root, to)).catch(() => undefined);
    if (found === undefined) broken.push(`${target}: there is no ${to}`);
    else if (anchor !== undefined && !(await hasAnchor(to, anchor)))
      broken.push(`${target}: no such heading in ${to}`);
  }
  return broken;
}

async function hasAnchor(file: string, anchor: string): Promise<boolean> {
  return file.endsWith('.md') && anchors(await readFile(join(root, file), 'utf8')).has(anchor);
}

test('every relative link of every page leads to a file, and to a heading that is there', async () => {
  const pages = (await repositoryFiles(root)).filter((file) => file.endsWith('.md'));
  expect(pages).toContain('README.md');
  const broken: Record<string, string[]> = {};
  for (const page of pages) {
    const found = await brokenLinks(page);
    if (found.length > 0) broken[page] = found;
  }
  expect(broken).toEqual({});
});

describe('what is a link', () => {
  test('inline, with a title, an image, a reference; not in code', () => {
    const text = [
      '[a](one.md) ![b](two.png "title") [c](<three.md>)',
      '`[d](four.md)`',
      '```md',
      '[e](five.md)',
      '```',
      '[f]: six.md',
    ].join('\n');
    expect(linkTargets(text)).toEqual(['one.md', 'two.png', 'three.md', 'six.md']);
  });

  test('anchors: headings as code hosts name them, twice the same, and <a id>', () => {
    const text =
      '# Order, and `lock_entity`\n## A: b\n## A: b\n<a id="er1001"></a>\n```sh\n# no heading\n```\n';
    expect([...anchors(text)].toSorted()).toEqual(['a-b', 'a-b-1', 'er1001', 'order-and-lock_entity']);
  });
});
