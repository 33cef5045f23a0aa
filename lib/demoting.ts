import type { Knex } from 'knex'
import type { Assembly } from './assembly.ts'
import { GeoError } from './errors.ts'
import { clusterIdentity, isSameLog, loadCursor, wasPromoted } from './event/cursor.ts'
import { databaseState } from './failover/preflight.ts'
import { firstLaterPromotions } from './failover/tell-epoch.ts'
import { type Unarrived, unarrivedAtAny } from './failover/unarrived.ts'
import type { Site } from './site-table.ts'
import { requireTrackingTables } from './start-check.ts'
import type { Promotion } from './transfer/epoch-word.ts'
import { askToBeEnabled } from './transfer/steer.ts'

type Parts = Pick<Assembly, 'settings' | 'byName' | 'databases' | 'sites' | 'repairContext'>

export type Demotion =
  | {
      /** The database is the one that this site had as the primary: it is to be made anew. */
      readonly step: 'left'
      readonly site: string
      readonly promotion: Promotion
      /** What this site wrote and the new primary has not: by the word of any site, where they do not say the same. */
      readonly unarrived: Unarrived
    }
  | {
      /** The database follows the new primary, and the site is enabled. */
      readonly step: 'back'
      readonly site: string
      readonly primary: string
    }

/**
 * Brings a former primary back as a secondary, in two steps. On the database that it had as the primary: hears who has become the
 * primary, which fences this site, and lists what did not arrive there. On a replica of the new primary's: has it enable this site.
 * @throws GeoError `SITE_UNREACHABLE` where a site does not answer that may have been promoted, `NOT_DEMOTED` where none has been,
 * `STALE_EPOCH` where one has, and none tells of it any more, `TRACKING_DATABASE_MISSING`,
 * `TRACKING_DATABASE_REUSED`, `SITE_UNKNOWN`, `NOT_IN_RECOVERY`, and what the primary refuses with. ConfigurationError `UNKNOWN_TABLE`
 */
export async function demote(parts: Parts): Promise<Demotion> {
  const { sites, databases } = parts
  await sites.refresh()
  const me = sites.requireMe()
  if (me.primary) return leave(parts)
  if (!(await databaseState(databases.main)).recovering) {
    throw new GeoError('NOT_IN_RECOVERY', `The main database of "${me.name}" is no replica`)
  }
  return comeBack(parts)
}

async function leave({ sites, databases, byName, repairContext, settings }: Parts): Promise<Demotion> {
  // What has not arrived at the first of them has at none.
  const promotions = await firstLaterPromotions({ ...repairContext, clock: settings.clock })
  const [promotion] = promotions
  if (!promotion) {
    // One that was promoted has forgotten it, as with a database from before.
    sites.requireUnfenced()
    throw new GeoError('NOT_DEMOTED', `No site knows of a later primary than "${sites.siteName}"`)
  }
  const unarrived = await unarrivedAtAny(databases.main, byName, sites.siteName, promotions)
  return { step: 'left', site: sites.siteName, promotion, unarrived }
}

async function comeBack({ sites, databases, repairContext, settings }: Parts): Promise<Demotion> {
  const { tracking } = databases
  const me = sites.requireMe()
  if (!tracking) throw new GeoError('TRACKING_DATABASE_MISSING', `"${me.name}" is a secondary without trackingDb`)
  await requireTrackingTables(tracking, settings.replicables)
  if (await isOfEarlierLife(databases.main, tracking, me)) {
    throw new GeoError('TRACKING_DATABASE_REUSED', `The tracking database of "${me.name}" is of its earlier life`)
  }
  if (!me.enabled) await askToBeEnabled({ ...repairContext, clock: settings.clock }, true)
  return { step: 'back', site: me.name, primary: sites.primary?.name ?? '' }
}

/** Its processes may have been started too early: then it follows the log of the new primary, and is as good as an empty one. */
async function isOfEarlierLife(main: Knex, tracking: Knex, me: Site): Promise<boolean> {
  if (await wasPromoted(tracking, me.name)) return true
  const cursor = me.enabled ? null : await loadCursor(tracking, me.name)
  return cursor !== null && !isSameLog(cursor, await clusterIdentity(main))
}
