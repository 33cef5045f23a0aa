import type { Knex } from 'knex'
import type { GeoError } from '../../errors.ts'
import type { SiteDirectory } from '../../site.ts'
import { InvalidSiteError } from '../../site-fields.ts'
import { deleteSite, insertSite, listSites, type Site, updateSite } from '../../site-table.ts'
import { type NodeChange, nodeChangeParams, siteChangeOf } from './node-params.ts'
import { badRequest, notFound, readOnlySite } from './rest-error.ts'
import { TITLES, type Wording } from './wording.ts'

export interface WriteContext {
  readonly main: Knex
  readonly sites: SiteDirectory
  readonly encryptionKey: Buffer
}

export async function createNode(
  context: WriteContext,
  params: NodeChange & { readonly primary?: boolean | null | undefined },
): Promise<Site> {
  return writing(context, (trx) => {
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

/** @param signer the site that asks it of itself: it changes nothing but whether it works */
export async function updateNode(
  context: WriteContext,
  wording: Wording,
  id: string,
  params: NodeChange,
  signer: Site | null,
): Promise<Site> {
  const given = Object.keys(nodeChangeParams.shape).filter((name) => params[name as keyof NodeChange] !== undefined)
  if (signer && given.some((name) => name !== 'enabled')) throw badRequest('A site may change only its own enabled')
  return writing(context, async (trx) => {
    const current = await lockedSite(trx, wording, id)
    return updateSite(trx, current.name, siteChangeOf(params, current))
  })
}

export async function removeNode(context: WriteContext, wording: Wording, id: string): Promise<void> {
  await writing(context, async (trx) => {
    const { name } = await lockedSite(trx, wording, id)
    await deleteSite(trx, name)
  })
}

async function lockedSite(trx: Knex.Transaction, wording: Wording, id: string): Promise<Site> {
  const site = (await listSites(trx, { forUpdate: true })).find((known) => known.id === id)
  if (!site) throw notFound(TITLES[wording])
  return site
}

const READ_ONLY_TRANSACTION = '25006'

/** A site that is in no table yet may write where its database lets it: the first one is added so. */
async function writing<Result>({ main, sites }: WriteContext, work: (trx: Knex.Transaction) => Promise<Result>) {
  await sites.ensureFresh()
  const refused = () => readOnlySite(sites.primary?.url ?? null)
  if (sites.role === 'secondary') throw refused()
  const result = await main.transaction(work).catch((reason: GeoError | { code?: unknown }) => {
    throw reason.code === READ_ONLY_TRANSACTION ? refused() : reason
  })
  await sites.refresh()
  return result
}

function isSameName(left: string | null | undefined, right: string): boolean {
  return left?.trim().toLowerCase() === right.toLowerCase()
}
