import { GeoError } from '../../errors.ts'
import type { NewSite } from '../../site-fields.ts'
import type { Site } from '../../site-table.ts'
import type { Asker } from '../asker.ts'
import { addSite, changeSite, removeSite, type SiteWriting } from '../site-writing.ts'
import { type NodeChange, nodeChangeParams, siteChangeOf } from './node-params.ts'
import { badRequest, notFound, readOnlySite } from './rest-error.ts'
import { TITLES, type Wording } from './wording.ts'

export type WriteContext = SiteWriting

export async function createNode(
  context: WriteContext,
  params: NodeChange & { readonly primary?: boolean | null | undefined },
  asker: Asker,
): Promise<Site> {
  const site = () => ({ ...siteChangeOf(params, null), primary: params.primary ?? false }) as NewSite
  return inWordsOfRest(context, null, () => addSite(context, params.name ?? '', site, { asker, details: params }))
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
  if (signer) {
    const unchanged = await unlessItChanges(context, signer, params)
    if (unchanged) return unchanged
  }
  const details = signer ? { ...params, signed_by: signer.name } : params
  return inWordsOfRest(context, wording, () =>
    changeSite(context, id, (current) => siteChangeOf(params, current), { asker, details }),
  )
}

/**
 * The site, where what it signed changes nothing of it. It may sign as often as it likes, so that only what changes something, and
 * where something can be changed, is kept in the audit log.
 */
async function unlessItChanges({ sites }: WriteContext, { id }: Site, { enabled }: NodeChange): Promise<Site | null> {
  // As the table is now: another process may have changed it a moment ago.
  await sites.refresh()
  if (sites.role !== 'primary') throw readOnlySite(sites.primary?.url ?? null)
  const current = sites.all.find((site) => site.id === id)
  return current && (enabled ?? current.enabled) === current.enabled ? current : null
}

export async function removeNode(context: WriteContext, { wording, id }: AskedNode, asker: Asker): Promise<void> {
  await inWordsOfRest(context, wording, () => removeSite(context, id, asker))
}

/** GitLab's API says some of it in words of its own. */
async function inWordsOfRest<Result>(
  { sites }: WriteContext,
  wording: Wording | null,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (reason) {
    if (!(reason instanceof GeoError)) throw reason
    if (reason.code === 'READ_ONLY_SITE') throw readOnlySite(sites.primary?.url ?? null)
    if (reason.code === 'SITE_UNKNOWN' && wording) throw notFound(TITLES[wording])
    throw reason
  }
}
