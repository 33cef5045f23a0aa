import createKnex, { type Knex } from 'knex'
import type { Client } from 'pg'
import type { PlaceTask } from '../../lib/transfer/place.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'

/** The life of a site's process: it may end in the middle of anything, after so many statements more. */
export class Lifeline {
  #left = Number.POSITIVE_INFINITY

  get dead(): boolean {
    return this.#left <= 0
  }

  endAfter(statements: number): void {
    this.#left = statements
  }

  /** Another process takes its place. */
  revive(): void {
    this.#left = Number.POSITIVE_INFINITY
  }

  /** One statement more. False: the process is dead. */
  spend(): boolean {
    if (this.dead) return false
    this.#left -= 1
    return true
  }
}

type Callback = (error: Error) => void

// Half of all statements would be these. None of a simulation is long; and what only reads sees the same with and without a
// transaction, at the isolation that the engine asks for.
const NEEDLESS = /^set local statement_timeout/
const NEEDLESS_WHERE_ONLY_READ = /^(set local statement_timeout|begin;|commit;|rollback)/i

/** Connections of a process: dead, it says nothing more, and what it had begun is rolled back as the server would. */
export function mortalKnex(connection: string, lifeline: Lifeline, { onlyReads = false } = {}): Knex {
  const needless = onlyReads ? NEEDLESS_WHERE_ONLY_READ : NEEDLESS
  return createKnex({
    client: 'pg',
    connection,
    pool: {
      min: 0,
      max: 12,
      afterCreate(client: Client, done: (error: Error | null, client: Client) => void) {
        const query = client.query.bind(client) as (...given: unknown[]) => unknown
        const guarded = (config: { text?: string }, ...rest: unknown[]): unknown => {
          if (needless.test(config.text ?? '')) {
            return (rest.at(-1) as (error: null, result: object) => void)(null, { rows: [] })
          }
          if (/^rollback/i.test(config.text ?? '') || lifeline.spend()) return query(config, ...rest)
          const answer = rest.at(-1) as Callback
          return query('rollback', () => answer(new Error('The process is dead')))
        }
        Object.assign(client, { query: guarded })
        done(null, client)
      },
    },
  })
}

/** Where something else may happen in the middle of what a process does. */
export const MOMENTS = ['serve', 'served', 'place', 'placed', 'hash', 'hashed', 'remove'] as const
export type Moment = (typeof MOMENTS)[number]

/** Threads of a process that may die, shared by its successors. */
export class MortalThreads extends TransferThreads {
  readonly #lifeline: Lifeline
  readonly #reach: (moment: Moment) => Promise<void>

  constructor(lifeline: Lifeline, reach: (moment: Moment) => Promise<void>) {
    super(1)
    this.#lifeline = lifeline
    this.#reach = reach
  }

  override async place(task: PlaceTask): ReturnType<TransferThreads['place']> {
    this.#mustLive()
    await this.#reach('place')
    const placed = await super.place(task)
    await this.#reach('placed')
    return placed
  }

  override async discard(blobs: Parameters<TransferThreads['discard']>[0]): Promise<void> {
    // What a dead process had received stays where it is.
    this.#mustLive()
    await super.discard(blobs)
  }

  /** The threads outlive each process of the simulation. */
  override async close(): Promise<void> {
    await Promise.resolve()
  }

  async closeForGood(): Promise<void> {
    await super.close()
  }

  #mustLive(): void {
    if (this.#lifeline.dead) throw new Error('The process is dead')
  }
}
