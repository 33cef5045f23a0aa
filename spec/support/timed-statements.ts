import type { Knex } from 'knex'

export interface TimedStatement {
  readonly sql: string
  readonly bindings: readonly unknown[]
  /** From sending it to having its answer. */
  readonly ms: number
}

/** Runs `work` and returns the statements that it sent through these connections, transactions' own among them, in their order. */
export async function timedStatements(dbs: readonly Knex[], work: () => Promise<unknown>): Promise<TimedStatement[]> {
  const sent = new Map<string, { sql: string; bindings: readonly unknown[]; startedAt: number }>()
  const statements: TimedStatement[] = []
  interface Query {
    readonly sql: string
    readonly bindings?: readonly unknown[]
    readonly __knexQueryUid: string
  }
  const began = ({ sql, bindings = [], __knexQueryUid }: Query) =>
    void sent.set(__knexQueryUid, { sql, bindings, startedAt: performance.now() })
  const ended = ({ __knexQueryUid }: Query) => {
    const one = sent.get(__knexQueryUid)
    if (one) statements.push({ sql: one.sql, bindings: one.bindings, ms: performance.now() - one.startedAt })
  }
  const answered = (_response: unknown, query: Query) => ended(query)
  const failed = (_error: unknown, query: Query) => ended(query)
  for (const db of dbs) db.on('query', began).on('query-response', answered).on('query-error', failed)
  try {
    await work()
  } finally {
    for (const db of dbs) db.off('query', began).off('query-response', answered).off('query-error', failed)
  }
  return statements
}
