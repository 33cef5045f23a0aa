import type { Knex } from 'knex'
import { missingGrants, neededInMain, neededInTracking } from '../../grants.ts'
import type { DatabaseName } from './database-checks.ts'
import { type Check, no, yes } from './outcome.ts'
import type { CheckSources } from './sources.ts'

/** Whether the role that this process logs in with has been granted what docs/guides/database-roles.md says. */
export function roleMay(which: DatabaseName, db: Knex, { settings, sites }: CheckSources): Check {
  return {
    name: `Its role may do what it has to in the ${which} database`,
    async ask() {
      const { replicables } = settings
      const inMain = () => neededInMain(replicables, sites.role === 'primary' ? 'primary' : 'secondary')
      const missing = await missingGrants(db, which === 'tracking' ? neededInTracking(replicables) : inMain())
      if (missing.length === 0) return yes()
      return no(
        `It lacks: ${missing.join('; ')}`,
        'Grant it as the owner of the tables; see docs/guides/database-roles.md.',
      )
    },
  }
}
