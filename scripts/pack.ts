/** `npm run pack [-- folder]`: packs what is published, as it is published, into a folder (default `.generated/pack`). */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { objections } from './pack/contents.ts';
import { packAll } from './pack/pack-packages.ts';

const root = join(import.meta.dirname, '..');
const into = resolve(process.argv[2] ?? join(root, '.generated/pack'));
await mkdir(into, { recursive: true });
for (const packed of await packAll({ root, into })) {
  console.log(`${packed.name}@${packed.version}  ${packed.files.length} files  ${packed.tarball}`);
  for (const objection of objections(packed)) {
    console.error(`✗ ${objection}`);
    process.exitCode = 1;
  }
}
