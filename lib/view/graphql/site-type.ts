import { resolveArrayConnection } from '@pothos/plugin-relay'
import type { Site } from '../../site-table.ts'
import { statusesOf } from '../status/read.ts'
import type { Api } from './api.ts'
import { progressOf, type SiteProgress } from './progress.ts'
import type { ProgressTypeRef } from './progress-type.ts'

/** `GeoNode` with the fields of GB.H.1, but for the registries, which each type adds. */
export function defineSiteType({ builder, sources, safely }: Api, progress: ProgressTypeRef) {
  const namespace = builder.objectRef<string>('Namespace').implement({
    description: 'Something of the host that a secondary may hold the blobs of',
    fields: (t) => ({ id: t.id({ nullable: false, resolve: (id) => id }) }),
  })
  return builder.objectRef<Site>('GeoNode').implement({
    description: 'A site: the primary or a secondary',
    fields: (t) => ({
      id: t.exposeID('id', { nullable: false, description: 'Id of this site, a number' }),
      primary: t.exposeBoolean('primary', { nullable: true, description: 'Whether this is the primary' }),
      enabled: t.exposeBoolean('enabled', { nullable: true, description: 'Whether this site replicates' }),
      name: t.exposeString('name', { nullable: true, description: 'The name of this site' }),
      url: t.exposeString('url', { nullable: true, description: 'The address of this site' }),
      internalUrl: t.exposeString('internalUrl', {
        nullable: true,
        description: 'The address at which other sites reach this one',
      }),
      filesMaxCapacity: t.exposeInt('filesMaxCapacity', {
        nullable: true,
        description: 'The most transfers of this secondary at once',
      }),
      reposMaxCapacity: t.exposeInt('reposMaxCapacity', {
        nullable: true,
        description: 'Kept for clients that read it',
      }),
      verificationMaxCapacity: t.exposeInt('verificationMaxCapacity', {
        nullable: true,
        description: 'The most batches of checksums of this site at once',
      }),
      containerRepositoriesMaxCapacity: t.exposeInt('containerRepositoriesMaxCapacity', {
        nullable: true,
        description: 'Kept for clients that read it',
      }),
      syncObjectStorage: t.exposeBoolean('syncObjectStorage', {
        nullable: true,
        description: 'Kept for clients that read it',
      }),
      selectiveSyncType: t.string({
        nullable: true,
        description: 'What a secondary that holds only part of the blobs selects by',
        resolve: ({ selectiveSync }) => selectiveSync?.type ?? null,
      }),
      selectiveSyncShards: t.stringList({
        nullable: true,
        description: 'The shards whose blobs it holds, where it selects by shards',
        resolve: ({ selectiveSync }) => [...(selectiveSync?.shards ?? [])],
      }),
      selectiveSyncNamespaces: t.connection(
        {
          type: namespace,
          nullable: true,
          description: 'The namespaces whose blobs it holds, where it selects by namespaces',
          resolve: ({ selectiveSync }, args) =>
            resolveArrayConnection({ args, defaultSize: 100, maxSize: 1000 }, [...(selectiveSync?.namespaceIds ?? [])]),
        },
        { name: 'NamespaceConnection' },
        { name: 'NamespaceEdge' },
      ),
      minimumReverificationInterval: t.int({
        nullable: true,
        description: 'Days after which the primary hashes a verified file again',
        resolve: ({ minimumReverificationIntervalDays }) => minimumReverificationIntervalDays,
      }),
      progress: t.field({
        type: progress,
        nullable: true,
        description: 'What this site gathered of itself last',
        resolve: (site) => safely(() => loadProgress(sources, site)),
      }),
    }),
  })
}

export type SiteTypeRef = ReturnType<typeof defineSiteType>

/** Nothing is counted for it: it is what the site has told last. */
export async function loadProgress(sources: Api['sources'], site: Site): Promise<SiteProgress | null> {
  const status = (await statusesOf(sources, [site])).get(site.id)
  return status
    ? progressOf(status, sources.settings.replicables, (type) => sources.gate.replicationEnabled(type))
    : null
}
