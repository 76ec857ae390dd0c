import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/**
 * Every executable of that name on the PATH, in its order.
 * What npm puts there (`node_modules/.bin`) is left out: it is not the machine's own.
 */
export async function onPath(program: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder === '' || folder.includes('node_modules')) continue;
    const path = join(folder, process.platform === 'win32' ? `${program}.exe` : program);
    try {
      await access(path, constants.X_OK);
      if (!found.includes(path)) found.push(path);
    } catch {
      // Not in this folder.
    }
  }
  return found;
}
