import { type SamplePayload, samplePayload } from './sample-payload.ts';

/** The size of the large payload when nothing else is asked for: 5 MiB. */
const defaultLargeBytes: number = 5 * 1024 * 1024;

/**
 * JSON texts that parsers and writers like to change on the way: each must arrive byte for byte.
 *
 * @param largeBytes length of the last one's text in bytes
 */
export function oddPayloads(largeBytes: number = defaultLargeBytes): SamplePayload[] {
  const texts: Array<readonly [name: string, text: string]> = [
    ['decimal', '{"amount":1.0,"rate":0.10,"zero":-0.0,"exponent":1E+2}'],
    ['integer', '{"next":9007199254740993,"long":123456789012345678901234567890}'],
    ['duplicate', '{"key":1,"key":2,"a":null,"key":1}'],
    ['space', ' \t\r\n{ "a" :\t[ 1 ,2,\n\n3 ] , "b":{ } }\n '],
    ['escape', String.raw`{"nul":"a\u0000b","slash":"\/","letter":"\u0041","controls":"\b\f\u001f"}`],
    [
      'astral',
      `{"raw":"\u{1f40d}\u{1f680}\u{20000}","escaped":"\\ud83d\\udc0d","combining":"e\u0301\u00e9"}`,
    ],
    ['scalar', ' "not an object" '],
    ['large', largeText(largeBytes)],
  ];
  return texts.map(([name, text]) =>
    samplePayload({ type: `odd.${name}`, entityKey: `odd/${name === 'large' ? 'large' : 'small'}`, text }),
  );
}

function largeText(bytes: number): string {
  const [head, tail] = ['{"large":"', '"}'];
  return `${head}${'0123456789abcdef'.repeat(Math.ceil(bytes / 16)).slice(0, bytes - head.length - tail.length)}${tail}`;
}
