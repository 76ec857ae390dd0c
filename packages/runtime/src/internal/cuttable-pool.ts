import pg from 'pg';

/** A pool whose connections can be ended from outside. */
export class CuttablePool extends pg.Pool {
  readonly #clients = new Set<pg.PoolClient>();

  constructor(config: pg.PoolConfig) {
    super(config);
    this.on('connect', (client) => this.#clients.add(client));
    this.on('remove', (client) => this.#clients.delete(client));
  }

  /**
   * Ends every connection, at once: what is under way on them fails, and what comes gets new ones. For when they lead to
   * a server that is gone, which may be without a word: nothing but a long silence would tell.
   */
  cut(): void {
    for (const { connection } of this.#clients) connection.stream.destroy();
  }
}
