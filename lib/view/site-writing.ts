import type { Knex } from 'knex'
import type { AskedChange, Audit } from '../audit.ts'
import { bounded } from '../databases.ts'
import { GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import { InvalidSiteError, type NewSite, type SiteChange } from '../site-fields.ts'
import { deleteSite, insertSite, listSites, type Site, updateSite } from '../site-table.ts'
import type { Asker } from './asker.ts'

/** Adding, changing and removing sites, by whichever door it is asked for: on the primary's database, and kept in the audit log. */

export interface SiteWriting {
  readonly main: Knex
  readonly sites: SiteDirectory
  readonly encryptionKey: Buffer
  readonly audit: Pick<Audit, 'during'>
}

/** For whom it is done, and what the audit log is to say of what was asked. */
export interface AskedSite {
  readonly asker: Asker
  readonly details: Readonly<Record<string, unknown>>
}

/** @throws GeoError `READ_ONLY_SITE`. InvalidSiteError `INVALID_SITE`, `SITE_EXISTS` */
export async function addSite(
  writing: SiteWriting,
  name: string,
  site: () => NewSite,
  { asker, details }: AskedSite,
): Promise<Site> {
  const { sites, encryptionKey } = writing
  return write(writing, { ...askedBy(asker), ...about(name), action: 'site.add', details }, (trx) => {
    const added = site()
    // The site that answers would no longer take changes.
    if (!added.primary && isSameName(added.name, sites.siteName)) {
      const text = 'Current node must be the primary node or you will be locking yourself out'
      throw new InvalidSiteError([{ field: 'base', text }])
    }
    return insertSite(trx, encryptionKey, added)
  })
}

/** @throws GeoError `READ_ONLY_SITE`, `SITE_UNKNOWN`. InvalidSiteError `INVALID_SITE`, `SITE_EXISTS` */
export async function changeSite(
  writing: SiteWriting,
  id: string,
  changeOf: (current: Site) => SiteChange,
  { asker, details }: AskedSite,
): Promise<Site> {
  const asked = { ...askedBy(asker), ...about(nameOf(writing, id)), action: 'site.update', details } as const
  return write(writing, asked, async (trx) => {
    const current = await lockedSite(trx, id)
    return updateSite(trx, current.name, changeOf(current))
  })
}

/** @throws GeoError `READ_ONLY_SITE`, `SITE_UNKNOWN`. InvalidSiteError `INVALID_SITE` */
export async function removeSite(writing: SiteWriting, id: string, asker: Asker): Promise<void> {
  const asked = { ...askedBy(asker), ...about(nameOf(writing, id)), action: 'site.remove', details: {} } as const
  await write(writing, asked, async (trx) => {
    const { name } = await lockedSite(trx, id)
    await deleteSite(trx, name)
  })
}

const about = (site: string) => ({ site, subject: site })
const askedBy = ({ operator, ip }: Asker) => ({ operator, ip })

/** As it is known to this process; where it is not, there may still be one. */
function nameOf({ sites }: SiteWriting, id: string): string {
  return sites.all.find((site) => site.id === id)?.name ?? `#${id}`
}

async function lockedSite(trx: Knex.Transaction, id: string): Promise<Site> {
  const site = (await listSites(trx, { forUpdate: true })).find((known) => known.id === id)
  if (!site) throw new GeoError('SITE_UNKNOWN', `No site has the id ${id}`)
  return site
}

const READ_ONLY_TRANSACTION = '25006'

/** A site that is in no table yet may write where its database lets it: the first one is added so. */
async function write<Result>(
  { main, sites, audit }: SiteWriting,
  asked: AskedChange,
  work: (trx: Knex.Transaction) => Promise<Result>,
): Promise<Result> {
  await sites.ensureFresh()
  const refused = (cause?: unknown) =>
    new GeoError('READ_ONLY_SITE', `Sites are changed on the primary${sites.primary ? `, ${sites.primary.url}` : ''}`, {
      cause,
    })
  const written = audit.during(asked, async () => {
    if (sites.role === 'secondary') throw refused()
    sites.requireUnfenced()
    return bounded(main, work)
  })
  const result = await written.catch((reason: GeoError | { code?: unknown }) => {
    throw reason.code === READ_ONLY_TRANSACTION ? refused(reason) : reason
  })
  await sites.refresh()
  return result
}

function isSameName(left: string | null | undefined, right: string): boolean {
  return left?.trim().toLowerCase() === right.toLowerCase()
}
