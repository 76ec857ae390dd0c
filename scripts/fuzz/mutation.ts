import type { SeededRandom } from '../../packages/runtime/src/testing/seeded-random.ts';

/** One way to damage a frame. May write to the frame, which is a copy, and may return another. */
type Mutation = (frame: Buffer, random: SeededRandom, others: readonly Buffer[]) => Buffer;

/** Where a pgoutput message's kind byte stands in an XLogData frame. */
export const messageOffset = 25;

const messageKinds = Buffer.from('BCORYIUDTM');
const tupleMarkers = Buffer.from('NKOnutb');
/** Lengths and counts that have caught out decoders before. */
const oddNumbers = [
  0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe,
];

const mutations: readonly Mutation[] = [
  function bitFlip(frame, random) {
    const at = random.below(frame.length);
    frame[at] = (frame[at] as number) ^ (1 << random.below(8));
    return frame;
  },
  function anyByte(frame, random) {
    frame[random.below(frame.length)] = random.below(256);
    return frame;
  },
  function truncate(frame, random) {
    return frame.subarray(0, random.below(frame.length));
  },
  function extend(frame, random) {
    return Buffer.concat([frame, Buffer.alloc(1 + random.below(16), random.below(256))]);
  },
  function number32(frame, random) {
    if (frame.length < 4) return frame;
    frame.writeUInt32BE(random.pick(oddNumbers), random.below(frame.length - 3));
    return frame;
  },
  function number16(frame, random) {
    if (frame.length < 2) return frame;
    frame.writeUInt16BE(random.pick(oddNumbers) & 0xffff, random.below(frame.length - 1));
    return frame;
  },
  function lengthOffByOne(frame, random) {
    if (frame.length < 4) return frame;
    const at = random.below(frame.length - 3);
    frame.writeInt32BE((frame.readInt32BE(at) + (random.below(2) === 0 ? 1 : -1)) | 0, at);
    return frame;
  },
  function splice(frame, random, others) {
    const other = random.pick(others);
    return Buffer.concat([
      frame.subarray(0, random.below(frame.length)),
      other.subarray(random.below(other.length)),
    ]);
  },
  function repeatPart(frame, random) {
    const from = random.below(frame.length);
    const to = from + random.below(Math.min(64, frame.length - from) + 1);
    return Buffer.concat([frame.subarray(0, to), frame.subarray(from, to), frame.subarray(to)]);
  },
  function removePart(frame, random) {
    const from = random.below(frame.length);
    const to = from + random.below(Math.min(64, frame.length - from) + 1);
    return Buffer.concat([frame.subarray(0, from), frame.subarray(to)]);
  },
  function otherKind(frame, random) {
    if (frame.length > messageOffset)
      frame[messageOffset] = random.pick([...messageKinds, random.below(256)]);
    return frame;
  },
  function otherMarker(frame, random) {
    frame[random.below(frame.length)] = random.pick([...tupleMarkers]);
    return frame;
  },
];

/** A damaged copy of the frame: one to three mutations. Never empty. */
export function mutate(frame: Buffer, random: SeededRandom, others: readonly Buffer[]): Buffer {
  let mutated: Buffer = Buffer.from(frame);
  for (let rest = 1 + random.below(3); rest > 0 && mutated.length > 0; rest -= 1) {
    mutated = random.pick(mutations)(mutated, random, others);
  }
  return mutated.length === 0 ? Buffer.alloc(1) : mutated;
}
