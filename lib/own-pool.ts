import type { Socket } from 'node:net'
import createKnex, { type Knex } from 'knex'
import { noteWithoutSession } from './database-failures.ts'
import { GeoError, messageOf } from './errors.ts'
import type { LoggerLike } from './log.ts'

// A server that does not answer is an outage like one that refuses: callers hear of it while they can still say so.
const CONNECT_TIMEOUT_MS = 5000
const ACQUIRE_TIMEOUT_MS = 10_000

/** What is used of tarn's pool and of pg's connections beneath Knex. */
interface PoolLike {
  on(
    event: 'createSuccess' | 'destroySuccess' | 'destroyFail',
    listener: (eventId: number, connection: ConnectionLike) => void,
  ): void
}
interface ConnectionLike {
  readonly connection?: {
    readonly stream: Pick<Socket, 'destroy' | 'setKeepAlive' | 'setTimeout'>
    on(event: 'readyForQuery', listener: (answer: { readonly status?: string }) => void): void
  }
}
/** What PostgreSQL says after each answer of a session that is in no transaction. */
const IDLE = 'I'
// A server that vanishes without a word, with its machine or behind a firewall, is missed by nobody: what was asked of it would wait
// for ever, or a quarter of an hour, while the leases of whoever asks are renewed elsewhere. Twice what the longest statement takes.
const LONGEST_SILENCE_MS = 120_000
const KEEP_ALIVE_MS = 10_000

/** A few connections of ours to where a Knex of the host points. */
export class OwnPool {
  readonly knex: Knex
  readonly #connections = new Set<ConnectionLike>()
  readonly #inTransaction = new WeakSet<ConnectionLike>()

  constructor(host: Knex, max: number, logger: LoggerLike) {
    const config = host.client.config as Knex.Config
    // Knex would print these by itself; who made the query says it in our own words.
    const tell = (message: unknown) =>
      logger.debug({ knex: messageOf(message) }, 'Knex says something of a pool of ours')
    this.knex = createKnex({
      ...config,
      acquireConnectionTimeout: ACQUIRE_TIMEOUT_MS,
      pool: { min: 0, max, createTimeoutMillis: CONNECT_TIMEOUT_MS },
      log: { ...config.log, warn: tell, error: tell },
    })
    const pool = this.knex.client.pool as PoolLike
    pool.on('createSuccess', (_, connection) => this.#follow(connection))
    pool.on('destroySuccess', (_, connection) => void this.#connections.delete(connection))
    // Whoever parts in good order waits for an answer, which a network that has gone silent never brings.
    pool.on('destroyFail', (_, connection) => {
      connection.connection?.stream.destroy()
      this.#connections.delete(connection)
    })
    this.#noteFailures()
    // Knex takes a session back whose COMMIT or ROLLBACK failed, such as by a conflict of a hot standby: it refuses everything from
    // then on, and every loop that is given it fails for ever. Knex asks this whenever it is to be used again.
    this.knex.client.validateConnection = (connection: ConnectionLike) => !this.#inTransaction.has(connection)
  }

  #noteFailures(): void {
    const { client } = this.knex
    const acquire = client.acquireConnection.bind(client)
    client.acquireConnection = async () => {
      try {
        return await acquire()
      } catch (reason) {
        noteWithoutSession(reason)
        throw reason
      }
    }
  }

  #follow(connection: ConnectionLike): void {
    this.#connections.add(connection)
    const stream = connection.connection?.stream
    stream?.setKeepAlive(true, KEEP_ALIVE_MS)
    stream?.setTimeout(LONGEST_SILENCE_MS, () => stream.destroy())
    connection.connection?.on('readyForQuery', ({ status }) => {
      if (status === IDLE) this.#inTransaction.delete(connection)
      else this.#inTransaction.add(connection)
    })
  }

  close(): Promise<void> {
    this.knex.client.acquireConnection = async () => {
      throw new GeoError('STOPPED', 'This process of the site has stopped')
    }
    return this.knex.destroy()
  }

  /** Ends connections under whoever still waits for an answer. */
  cut(): void {
    for (const { connection } of this.#connections) connection?.stream.destroy()
  }
}
