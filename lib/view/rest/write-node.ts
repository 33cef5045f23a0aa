import type { Knex } from 'knex'
import type { AskedChange, Audit } from '../../audit.ts'
import type { GeoError } from '../../errors.ts'
import type { SiteDirectory } from '../../site.ts'
import { InvalidSiteError } from '../../site-fields.ts'
import { deleteSite, insertSite, listSites, type Site, updateSite } from '../../site-table.ts'
import type { Asker } from '../asker.ts'
import { type NodeChange, nodeChangeParams, siteChangeOf } from './node-params.ts'
import { badRequest, notFound, readOnlySite } from './rest-error.ts'
import { TITLES, type Wording } from './wording.ts'

export interface WriteContext {
  readonly main: Knex
  readonly sites: SiteDirectory
  readonly encryptionKey: Buffer
  readonly audit: Pick<Audit, 'during'>
}

export async function createNode(
  context: WriteContext,
  params: NodeChange & { readonly primary?: boolean | null | undefined },
  asker: Asker,
): Promise<Site> {
  const asked = { ...asker, ...about(params.name ?? ''), action: 'site.add', details: params } as const
  return writing(context, asked, (trx) => {
    const change = siteChangeOf(params, null)
    const primary = params.primary ?? false
    // The site that answers would no longer take changes.
    if (!primary && isSameName(params.name, context.sites.siteName)) {
      const text = 'Current node must be the primary node or you will be locking yourself out'
      throw new InvalidSiteError([{ field: 'base', text }])
    }
    return insertSite(trx, context.encryptionKey, { ...change, primary } as Parameters<typeof insertSite>[2])
  })
}

export interface AskedNode {
  readonly wording: Wording
  readonly id: string
  /** The site that asks it of itself: it changes nothing but whether it works. */
  readonly signer: Site | null
}

export async function updateNode(
  context: WriteContext,
  { wording, id, signer }: AskedNode,
  params: NodeChange,
  asker: Asker,
): Promise<Site> {
  const given = Object.keys(nodeChangeParams.shape).filter((name) => params[name as keyof NodeChange] !== undefined)
  if (signer && given.some((name) => name !== 'enabled')) throw badRequest('A site may change only its own enabled')
  const details = signer ? { ...params, signed_by: signer.name } : params
  const asked = { ...asker, ...about(nameOf(context, id)), action: 'site.update', details } as const
  return writing(context, asked, async (trx) => {
    const current = await lockedSite(trx, wording, id)
    return updateSite(trx, current.name, siteChangeOf(params, current))
  })
}

export async function removeNode(context: WriteContext, { wording, id }: AskedNode, asker: Asker): Promise<void> {
  const asked = { ...asker, ...about(nameOf(context, id)), action: 'site.remove', details: {} } as const
  await writing(context, asked, async (trx) => {
    const { name } = await lockedSite(trx, wording, id)
    await deleteSite(trx, name)
  })
}

const about = (site: string) => ({ site, subject: site })

/** As it is known to this process; where it is not, there may still be one. */
function nameOf({ sites }: WriteContext, id: string): string {
  return sites.all.find((site) => site.id === id)?.name ?? `#${id}`
}

async function lockedSite(trx: Knex.Transaction, wording: Wording, id: string): Promise<Site> {
  const site = (await listSites(trx, { forUpdate: true })).find((known) => known.id === id)
  if (!site) throw notFound(TITLES[wording])
  return site
}

const READ_ONLY_TRANSACTION = '25006'

/** A site that is in no table yet may write where its database lets it: the first one is added so. */
async function writing<Result>(
  { main, sites, audit }: WriteContext,
  asked: AskedChange,
  work: (trx: Knex.Transaction) => Promise<Result>,
): Promise<Result> {
  await sites.ensureFresh()
  const refused = () => readOnlySite(sites.primary?.url ?? null)
  const written = audit.during(asked, async () => {
    if (sites.role === 'secondary') throw refused()
    return main.transaction(work)
  })
  const result = await written.catch((reason: GeoError | { code?: unknown }) => {
    throw reason.code === READ_ONLY_TRANSACTION ? refused() : reason
  })
  await sites.refresh()
  return result
}

function isSameName(left: string | null | undefined, right: string): boolean {
  return left?.trim().toLowerCase() === right.toLowerCase()
}
