import type { Knex } from 'knex'
import { requireMainTables, requireTrackingTables } from '../../start-check.ts'
import type { DatabaseName } from './database-checks.ts'
import { type Check, yes } from './outcome.ts'
import type { CheckSources } from './sources.ts'

/** The system's tables and those of every declared type. */
export function tablesExist(which: DatabaseName, db: Knex, { settings }: CheckSources): Check {
  return {
    name: `The tables of all types are in the ${which} database`,
    async ask() {
      await (which === 'main' ? requireMainTables : requireTrackingTables)(db, settings.replicables)
      return yes(settings.replicables.map(({ name }) => name).join(', ') || 'no types are declared')
    },
  }
}
