import type { Outgoing } from './publisher.ts';

/** Of a message as the server counts it. */
export interface Size {
  readonly subject: number;
  readonly headers: number;
  /** Headers and payload. */
  readonly all: number;
}

/** Bytes of headers and payload together; undefined: none is known. */
export interface Limits {
  readonly server: number | undefined;
  readonly stream: number | undefined;
}

/** What a PUB line may take beside its subject: the reply, two lengths. The server's limit is 4,096 bytes. */
const maxSubjectBytes = 3_900;
/** JetStream's (err_code 10097). */
const mostHeaderBytes = 65_535;
/** `Nats-Batch-Id`, `Nats-Batch-Sequence` and `Nats-Batch-Commit`. */
const atomicHeaderBytes = 120;

export function sizeOf({ subject, headers, payload }: Outgoing): Size {
  return {
    subject: Buffer.byteLength(subject),
    headers: headers.length,
    all: headers.length + payload.length,
  };
}

/** The size of the message within an atomic batch, where it has headers more. */
export function inAtomicBatch(size: Size): Size {
  return { ...size, headers: size.headers + atomicHeaderBytes, all: size.all + atomicHeaderBytes };
}

/** Why a message can never be stored; undefined: it may. Asked before it is sent: a server may end the connection over it. */
export function tooLarge(size: Size, { server, stream }: Limits): string | undefined {
  if (size.subject > maxSubjectBytes) {
    return `its subject has ${size.subject} bytes, a server takes at most ${maxSubjectBytes}`;
  }
  if (size.headers > mostHeaderBytes) {
    return `its headers have ${size.headers} bytes, JetStream takes at most ${mostHeaderBytes}`;
  }
  const limit = Math.min(server ?? Number.POSITIVE_INFINITY, stream ?? Number.POSITIVE_INFINITY);
  if (size.all <= limit) return undefined;
  return `with its headers it has ${size.all} bytes, the ${limit === stream ? 'stream' : 'server'} takes at most ${limit}`;
}
