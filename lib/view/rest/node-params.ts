import { z } from 'zod'
import type { SelectiveSync } from '../../blob/selective-sync.ts'
import { InvalidSiteError, type SiteChange } from '../../site-fields.ts'
import type { Site } from '../../site-table.ts'
import { boolean, integer, list, text } from './coerced.ts'

/** What may be said of a site over REST (GB.G.2), and what that is in our words. */

const params = {
  enabled: boolean().describe('Whether the site works. A disabled secondary is paused.'),
  name: text().describe('At most 255 characters, each name once: what the processes of the site have as `siteName`.'),
  url: text().describe('Where people reach the site.'),
  internal_url: text().describe('Where the other sites reach it; blank: `url`.'),
  files_max_capacity: integer().describe('Open transfers at once, over all processes of the site.'),
  repos_max_capacity: integer().describe('Kept; nothing reads it.'),
  verification_max_capacity: integer().describe('Checksum batches at once, over all processes of the site.'),
  container_repositories_max_capacity: integer().describe('Kept; nothing reads it.'),
  sync_object_storage: boolean().describe('Kept; nothing reads it.'),
  selective_sync_type: text().describe('What a secondary that holds only part of the blobs selects by; blank: all.'),
  selective_sync_shards: list().describe('What it selects, by shard. An array, or one text with commas.'),
  selective_sync_namespace_ids: list().describe('What it selects, by namespace. An array, or one text with commas.'),
  minimum_reverification_interval: integer().describe('Days after which the primary hashes its files again.'),
  redirect_hosts: list().describe(
    'Where it may send other sites for a blob beside its own host. An array, or one text with commas.',
  ),
}

export const nodeChangeParams = z.object(params).partial()

export const newNodeParams = nodeChangeParams.extend({
  primary: boolean().optional().describe('Whether it is the primary, of which there is one at most.'),
  name: params.name,
  url: params.url,
})

export const pageParams = z
  .object({
    page: integer().describe('From 1. Default 1.'),
    per_page: integer().describe('Sites to a page. Default 20, at most 100.'),
  })
  .partial()

export const refreshParams = z.object({ refresh: boolean().describe('Taken and ignored.') }).partial()

const FIELDS = {
  name: 'name',
  enabled: 'enabled',
  url: 'url',
  internal_url: 'internalUrl',
  files_max_capacity: 'filesMaxCapacity',
  repos_max_capacity: 'reposMaxCapacity',
  verification_max_capacity: 'verificationMaxCapacity',
  container_repositories_max_capacity: 'containerRepositoriesMaxCapacity',
  sync_object_storage: 'syncObjectStorage',
  minimum_reverification_interval: 'minimumReverificationIntervalDays',
  redirect_hosts: 'redirectHosts',
} as const satisfies Partial<Record<keyof NodeChange, keyof SiteChange>>

const SELECTION_FIELDS: Readonly<Record<string, string>> = {
  'selectiveSync.type': 'selective_sync_type',
  'selectiveSync.shards': 'selective_sync_shards',
  'selectiveSync.namespaceIds': 'selective_sync_namespace_ids',
}

const PARAMS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(FIELDS).map(([param, field]) => [field, param])),
  ...SELECTION_FIELDS,
}

export type NodeChange = z.output<typeof nodeChangeParams>

/** The change of a site that the parameters ask for. A number or boolean that is blank asks for none. */
export function siteChangeOf(params: NodeChange, current: Site | null): SiteChange {
  const change: Record<string, unknown> = {}
  for (const [param, field] of Object.entries(FIELDS)) {
    const value = params[param as keyof typeof FIELDS]
    if (param === 'internal_url' && value !== undefined) change[field] = value === '' ? null : value
    else if ((param === 'name' || param === 'url') && value === null) change[field] = ''
    else if (value !== undefined && value !== null) change[field] = value
  }
  const selectiveSync = selectionOf(params, current?.selectiveSync ?? null)
  return (selectiveSync === undefined ? change : { ...change, selectiveSync }) as SiteChange
}

/** What is given replaces what is there; undefined where nothing is. */
function selectionOf(params: NodeChange, current: SelectiveSync | null): SelectiveSync | null | undefined {
  const given = params.selective_sync_type
  const shards = params.selective_sync_shards
  const namespaceIds = params.selective_sync_namespace_ids
  if (given === undefined && shards === undefined && namespaceIds === undefined) return undefined
  const type = given === undefined ? (current?.type ?? null) : given?.trim() || null
  const selection = {
    namespaceIds: namespaceIds ?? current?.namespaceIds ?? [],
    shards: shards ?? current?.shards ?? [],
  }
  if (type !== null) return { type, ...selection }
  if (given === undefined && (selection.shards.length > 0 || selection.namespaceIds.length > 0))
    throw new InvalidSiteError([{ field: 'selectiveSync.type', text: "can't be blank" }])
  return null
}

/** The problems of a site under the names of the parameters. */
export function problemsByParam({ problems }: InvalidSiteError): Record<string, string[]> {
  const byParam: Record<string, string[]> = {}
  for (const { field, text } of problems) {
    const bare = field.replace(/\.\d+$/, '')
    const param = PARAMS[bare] ?? bare
    byParam[param] = [...(byParam[param] ?? []), text]
  }
  return byParam
}
