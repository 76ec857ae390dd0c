import type { Found, Missing } from './service.ts';

/** What was found where, one service per paragraph, for people. */
export function serviceTable(
  results: readonly (Found | Missing)[],
  options: { readonly all: boolean },
): string {
  const lines: string[] = [];
  for (const result of results) {
    const { name, wanted, purpose, variable } = result.service;
    if (result.path === undefined) {
      lines.push(`✗ ${name}  not found (wanted: ${wanted}), for ${purpose}`);
      lines.push(`    set ${variable} to its path, or make one of these work:`);
    } else {
      lines.push(`✓ ${name}  ${result.version}  from ${result.way}  ${result.path}`);
    }
    if (result.path === undefined || options.all) {
      for (const { way, reason } of result.refused) lines.push(`    ${way}: ${reason}`);
    }
  }
  return lines.join('\n');
}
