import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Resolves when the peer's kernel has acknowledged all that was written, or the socket is closed.
 *
 * A RST throws away what is not acknowledged, and Node does not tell; Linux does, in /proc/net/tcp. Where that
 * file is missing this resolves at once.
 */
export async function acknowledged(socket: Socket): Promise<void> {
  const table = socket.localFamily === 'IPv6' ? '/proc/net/tcp6' : '/proc/net/tcp';
  while (!socket.destroyed) {
    const text = await readFile(table, 'latin1').catch(() => '');
    if (unacknowledged(text, socket) === 0) return;
    await sleep(1);
  }
}

/** Bytes of a connection that wait for an acknowledgement; 0 for a connection that the table does not know. */
function unacknowledged(table: string, { localPort = 0, remotePort = 0 }: Socket): number {
  const [local, remote] = [localPort, remotePort].map((port) =>
    port.toString(16).toUpperCase().padStart(4, '0'),
  );
  // `0: 0100007F:A3C1 0100007F:1538 01 0000002A:00000000 …`: local and remote address, state, unacknowledged:unread.
  const line = new RegExp(`: [0-9A-F]+:${local} [0-9A-F]+:${remote} [0-9A-F]{2} ([0-9A-F]{8}):`).exec(table);
  return Number.parseInt(line?.[1] ?? '0', 16);
}
