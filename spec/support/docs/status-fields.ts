import { z } from 'zod'
import type { Replicable } from '../../../lib/blob/replicable.ts'
import { PROGRESS_FIELDS, SITE_FIELDS, typeFields } from '../../../lib/view/status/fields.ts'
import { page, table } from './markdown.ts'

type Shape = Readonly<Record<string, z.ZodType>>

interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly anyOf?: readonly JsonSchema[]
  readonly enum?: readonly string[]
  readonly items?: JsonSchema
}

function typeOf(schema: JsonSchema): string {
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ')
  return [schema.type ?? 'any'].flat().join(' or ')
}

function fieldTable(shape: Shape): string {
  const rows = Object.entries(shape).map(([name, field]) => [
    `\`${name}\``,
    typeOf(z.toJSONSchema(field) as JsonSchema),
    field.description ?? '',
  ])
  return table(['field', 'type', 'meaning'], rows)
}

const LEFT_OUT = [
  [
    '`projects_count`, `repositories_count`, `repositories_checked_count`, `repositories_checked_failed_count`, `repositories_checked_in_percentage`',
    'a host has no Git repositories',
  ],
  ['`container_repositories_replication_enabled`', 'no container registry; types have flags of their own'],
  [
    '`git_fetch_event_count_weekly`, `git_push_event_count_weekly`, `proxy_remote_requests_event_count_weekly`, `proxy_local_requests_event_count_weekly`',
    'no Git traffic; what `geo.readOnly({ forward })` passes on is not counted',
  ],
  [
    '`repository_verification_enabled`, `repositories_replication_enabled`, `lfs_objects_*`, `attachments_*`, `job_artifacts_*`, `wikis_*`, `design_repositories_*`, `repositories_retrying_verification_count`, `*_checksum_mismatch_count`',
    'types of GitLab before 14; each type of the host has the twelve fields instead',
  ],
] as const

export function statusFields(types: readonly Pick<Replicable, 'name' | 'names'>[]): string {
  return page(
    'Status of a site',
    'What `geo.status()`, the REST routes and `geo status --json` show. The metrics job of a site gathers it in the background, every 10 to 60 seconds: no request counts anything. Null is what does not apply to the role of the site, is not known, or belongs to a type whose flag is off.',
    '## The site',
    fieldTable(SITE_FIELDS),
    '## Of each type',
    'Twelve fields that begin with the plural of its name; here those of the types that the reference host declares. The schema that a running site serves has those of its own.',
    ...types.flatMap(({ name, names }) => [`### \`${name}\``, fieldTable(typeFields({ names }))]),
    '## `progress`, by the plural of each type',
    fieldTable(PROGRESS_FIELDS),
    '## What GitLab has and this has not',
    table(['fields', 'why'], LEFT_OUT),
    'Percentages are of what they say: verified of `_verification_total_count`, where GitLab divides by `_registry_count`; and `_verification_failed_count` keeps a copy whose verification failed also while it is fetched again.',
  )
}
