import { z } from 'zod'
import type { Replicable } from '../../blob/replicable.ts'
import type { Site } from '../../site-table.ts'
import type { Wording } from './wording.ts'

/** A site as the API shows it: GitLab's fields in GitLab's order (GB.G.2). */
export function nodeShape(wording: Wording) {
  const secondaryOnly = <Shape extends z.ZodType>(shape: Shape, description: string) =>
    shape.optional().describe(`${description} Of secondaries only.`)
  return z.strictObject({
    id: z.int(),
    name: z.string().describe('What the processes of the site have as `siteName`.'),
    url: z.string().describe('Where people reach the site. Ends in a slash.'),
    internal_url: z.string().describe('Where the other sites reach it. Ends in a slash.'),
    primary: z.boolean(),
    enabled: z.boolean(),
    current: z.boolean().describe('Whether it is the site that answers.'),
    files_max_capacity: z.int().describe('Open transfers at once.'),
    repos_max_capacity: z.int().describe('Kept; nothing reads it.'),
    verification_max_capacity: z.int().describe('Checksum batches at once.'),
    container_repositories_max_capacity: z.int().describe('Kept; nothing reads it.'),
    selective_sync_type: z.string().nullable().describe('What the site selects by; null: it holds all blobs.'),
    selective_sync_shards: z.array(z.string()),
    selective_sync_namespace_ids: z.array(z.union([z.int(), z.string()])).describe('Numbers where they are numbers.'),
    minimum_reverification_interval: z.int().describe('Days after which the primary hashes its files again.'),
    redirect_hosts: z.array(z.string()).describe('Where it may send other sites for a blob beside its own host.'),
    sync_object_storage: secondaryOnly(z.boolean(), 'Kept; nothing reads it.'),
    ...(wording === 'node' && { clone_protocol: z.literal('http').describe('Always http.') }),
    web_edit_url: z.string().describe('The admin page of the site.'),
    web_geo_replication_details_url: secondaryOnly(
      z.string().nullable(),
      'The admin page of its first type; null where the host declares none.',
    ),
    _links: z.strictObject({ self: z.string(), status: z.string(), repair: z.string() }),
  })
}

export interface NodeContext {
  readonly wording: Wording
  /** The site that answers; null while it is not in the table. */
  readonly me: Site | null
  readonly replicables: readonly Pick<Replicable, 'names'>[]
}

export function nodeEntity(
  site: Site,
  { wording, me, replicables }: NodeContext,
): z.output<ReturnType<typeof nodeShape>> {
  const base = me?.url ?? '/'
  const resource = `${base}api/v4/geo_${wording}s/${site.id}`
  const [first] = replicables
  const details = first ? `${site.url}admin/geo/sites/${site.id}/replication/${first.names.plural}` : null
  return {
    id: Number(site.id),
    name: site.name,
    url: site.url,
    internal_url: site.internalUrl,
    primary: site.primary,
    enabled: site.enabled,
    current: site.id === me?.id,
    files_max_capacity: site.filesMaxCapacity,
    repos_max_capacity: site.reposMaxCapacity,
    verification_max_capacity: site.verificationMaxCapacity,
    container_repositories_max_capacity: site.containerRepositoriesMaxCapacity,
    selective_sync_type: site.selectiveSync?.type ?? null,
    selective_sync_shards: [...(site.selectiveSync?.shards ?? [])],
    selective_sync_namespace_ids: (site.selectiveSync?.namespaceIds ?? []).map(numberWhereItIsOne),
    minimum_reverification_interval: site.minimumReverificationIntervalDays,
    redirect_hosts: [...site.redirectHosts],
    ...(!site.primary && { sync_object_storage: site.syncObjectStorage }),
    ...(wording === 'node' && { clone_protocol: 'http' as const }),
    web_edit_url: `${base}admin/geo/sites/${site.id}/edit`,
    ...(!site.primary && { web_geo_replication_details_url: details }),
    _links: { self: resource, status: `${resource}/status`, repair: `${resource}/repair` },
  }
}

/** Clients of GitLab read ids of namespaces as numbers; those of a host may be anything. */
function numberWhereItIsOne(id: string): number | string {
  return /^(0|[1-9]\d{0,14})$/.test(id) ? Number(id) : id
}
