import type { Socket } from 'node:net';

/**
 * Ends a connection with RST, so that the peer sees ECONNRESET and what was not sent yet is lost.
 *
 * Two states know no RST: a socket that still connects (Node would wait for it), and one whose FIN is asked for
 * and not yet sent (libuv refuses with EINVAL, and Node then never closes the handle). Both are closed plainly.
 */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  const finPending = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || finPending) socket.destroy();
  else socket.resetAndDestroy();
}
