/** Codes with a chapter of their own in docs/operations/doctor.md: what is seen, why it matters, what to do. */
const chapters: ReadonlySet<string> = new Set(
  [
    'ER1001 ER1002 ER1003 ER1004 ER1005 ER1006 ER1101 ER1102 ER1103',
    'ER1202 ER1203 ER1204 ER1206 ER1208 ER1211',
    'ER1301 ER1302 ER1303 ER1304 ER1305 ER1306 ER1307 ER1308 ER1309 ER1310',
    'ER1311 ER1312 ER1313 ER1314 ER1315 ER1316 ER1317 ER1318 ER1319 ER1320',
  ].flatMap((line) => line.split(' ')),
);

/** Where a code of the catalogue is explained: in its chapter, else in its row of the reference page. */
export function errorPage(code: string): string {
  const page = chapters.has(code) ? 'docs/operations/doctor.md' : 'docs/reference/errors.md';
  return `${page}#${code.toLowerCase()}`;
}
