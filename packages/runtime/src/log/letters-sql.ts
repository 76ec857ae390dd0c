/** The entity of a dead letter as the indexes have it: the texts may be too long for an index. */
export function letterEntity(letter: string): string {
  return `hashtextextended(${letter}.entity_key, hashtextextended(${letter}.tenant_id, 0))`;
}
