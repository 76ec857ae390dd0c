import type { Socket } from 'node:net';
import { acknowledged } from './acknowledged.ts';
import { Lane, type LaneOptions } from './lane.ts';
import type { LaneFaults } from './lane-faults.ts';
import { resetSocket } from './reset-socket.ts';

export interface ProxiedConnectionOptions
  extends Pick<LaneOptions, 'maxBufferedBytes' | 'random' | 'onChange'> {
  /** The client's socket, accepted and not read yet. */
  readonly near: Socket;
  /** The socket to the target, still connecting. */
  readonly far: Socket;
  readonly toTarget: LaneFaults;
  readonly toClient: LaneFaults;
  readonly onConnected: () => void;
  /** Called once, when both sockets are closed. */
  readonly onClosed: () => void;
}

/** A client's connection and its twin to the target. */
export class ProxiedConnection {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #closed: Promise<unknown>;
  #lanes: readonly Lane[] = [];

  constructor(options: ProxiedConnectionOptions) {
    const { near, far, maxBufferedBytes, random, onChange } = options;
    this.#near = near;
    this.#far = far;
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      // The lanes go by `close`, which always follows.
      socket.on('error', () => undefined);
    }
    const shared = {
      maxBufferedBytes,
      random,
      onChange,
      onUsedUp: (receiver: Socket) => this.#cutAfter(receiver),
    };
    far.once('connect', () => {
      this.#lanes = [
        new Lane({ ...shared, from: near, to: far, faults: options.toTarget }),
        new Lane({ ...shared, from: far, to: near, faults: options.toClient }),
      ];
      options.onConnected();
    });
    far.once('close', () => {
      // The target never took the connection: there is no lane that would tell the client.
      if (this.#lanes.length === 0) resetSocket(near);
    });
    this.#closed = Promise.all([near, far].map(closed)).then(options.onClosed);
  }

  /** Applies faults that have changed. */
  update(): void {
    for (const lane of this.#lanes) lane.update();
  }

  /** Resets both sides. */
  cut(): void {
    resetSocket(this.#near);
    resetSocket(this.#far);
  }

  /** Resets both sides and waits until the sockets are closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.#closed;
  }

  /** Resets both sides when the receiver has what was written: a RST throws away what is under way. */
  #cutAfter(receiver: Socket): void {
    acknowledged(receiver).then(
      () => this.cut(),
      () => this.cut(),
    );
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
  });
}
