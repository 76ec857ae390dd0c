/** Payloads that a driver, an array literal or a template may damage, by name. */
export function oddPayloads(): Array<[name: string, data: unknown]> {
  const controls = String.fromCodePoint(...Array.from({ length: 32 }, (_, code) => code), 0x7f, 0x85, 0x2028);
  return [
    ['quotes and backslashes', { '"': '\\', '\\"': '"\\"', "'": "\\'''" }],
    ['control characters and U+0000', { controls, '\0': '\0' }],
    ['beyond the basic plane', ['😀', '\u{10ffff}', '\ufeff', 'e\u0301', '\uffff']],
    ['half a surrogate pair', ['\ud800', 'a\udfffb', '\ude00\ud83d']],
    ['what arrays are made of', ['{NULL}', 'NULL', null, '{', '}', ',', '{"a",NULL}', []]],
    ['what placeholders are made of', ['$1', '$13', '?', '??', ':tenant', '@p1', '%s', `\${x}`]],
    ['numbers', [1e21, -0, 5e-324, Number.MAX_SAFE_INTEGER, 0.1, 1e-7]],
    ['a text', 'text'],
    ['white space', ' \t\r\n '],
    ['false', false],
    ['deep', JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`)],
    ['5 MB', { text: 'é"\\😀{},\u0001'.repeat(250_000) }],
  ];
}

/** A batch in which columns are sparse, and texts need quoting. */
export function largeBatch(size: number): Array<{ data: string; key: string | undefined }> {
  return Array.from({ length: size }, (_, index) => ({
    data: `{"\\${index}"}, 😀`,
    key: index % 3 === 0 ? `key "${index}" \\ {` : undefined,
  }));
}
