import type { Knex } from 'knex'
import type { AuditAction } from '../../audit.ts'
import type { Replicable } from '../../blob/replicable.ts'
import type { BulkRun } from '../../bulk/bulk-run.ts'
import type { BulkAction } from '../../bulk/request.ts'
import { GeoError, messageOf } from '../../errors.ts'
import { type RegistryEntry, readRegistryPage } from '../../registry/registry-page.ts'
import type { Asker } from '../asker.ts'
import type { Api } from './api.ts'
import type { BulkRunTypeRef } from './bulk-run-type.ts'
import { notAvailable } from './errors.ts'
import type { RegistryTypeRef } from './registry-type.ts'
import { defineAnyRegistryId, type GlobalRegistryId } from './scalars.ts'

const MOST_IDS = 10_000
const DONE: Readonly<Record<BulkAction, string>> = Object.freeze({
  resync: 'Registry entry enqueued to be resynced',
  reverify: 'Registry entry enqueued to be reverified',
})

/**
 * The mutations of GB.H.5, on the engine's own bulk runs: they reset retry fields, and take no row that another has locked.
 * Only who may `admin_geo` knows that there is anything to change.
 */
export function defineMutations(
  api: Api,
  registries: ReadonlyMap<Replicable, RegistryTypeRef>,
  run: BulkRunTypeRef,
): void {
  const { builder, enums, sources, replicables } = api
  const { bulk } = sources
  const anyId = defineAnyRegistryId(builder, replicables)
  const registry = builder.unionType('GeoRegistry', {
    description: 'A registry of any type',
    types: [...registries.values()],
    resolveType: ({ type }) => sources.byName.get(type)?.names.registryClass,
  })
  const registryClass = builder.enumType('GeoRegistryClass', {
    description: 'The registry of a type',
    values: Object.fromEntries(replicables.map((type) => [type.names.registryEnum, { value: type.name }])),
  })

  builder.relayMutationField(
    'geoRegistriesUpdate',
    {
      inputFields: (t) => ({
        registryId: t.field({ type: anyId, required: true, description: 'Global id of the registry' }),
        action: t.field({ type: enums.action, required: true, description: 'What is done to it' }),
      }),
    },
    {
      description: 'Has one blob fetched or hashed again',
      resolve: async (_root, { input }, context): Promise<Updated> => {
        await requireAdmin(api, context)
        const id = input.registryId as unknown as GlobalRegistryId
        return orErrors<Updated>(
          api,
          async () => ({
            registry: await updateOne(api, context, id, input.action),
            message: DONE[input.action],
            errors: [],
          }),
          (reason) => ({
            registry: null,
            message: null,
            errors: [`An error occurred while trying to update the registry: '${reason}'.`],
          }),
        )
      },
    },
    {
      outputFields: (t) => ({
        registry: t.field({ type: registry, nullable: true, resolve: (updated: Updated) => updated.registry }),
        message: t.string({ nullable: true, resolve: (updated: Updated) => updated.message }),
        errors: t.stringList({ nullable: false, resolve: (updated: Updated) => [...updated.errors] }),
      }),
    },
  )

  builder.relayMutationField(
    'geoRegistriesBulkUpdate',
    {
      inputFields: (t) => ({
        registryClass: t.field({ type: registryClass, required: true, description: 'Which registry' }),
        action: t.field({ type: enums.bulkAction, required: true, description: 'What is done to its rows' }),
        ids: t.field({ type: [anyId], required: false, description: 'These only' }),
        replicationState: t.field({ type: enums.replicationState, required: false }),
        verificationState: t.field({ type: enums.verificationState, required: false }),
      }),
    },
    {
      description: 'Has many blobs fetched or hashed again, in the background',
      resolve: async (_root, { input }, context): Promise<BulkUpdated> => {
        await requireAdmin(api, context)
        const type = String(input.registryClass)
        const ids = input.ids as unknown as readonly GlobalRegistryId[] | null | undefined
        return orErrors<BulkUpdated>(
          api,
          async () => {
            registriesOf(api)
            const recordIds = ids && ids.length > 0 ? await recordsOf(api, type, ids) : undefined
            if (recordIds?.length === 0) return { type, run: null, errors: [] }
            const states = {
              syncState: input.replicationState ?? undefined,
              verificationState: input.verificationState ?? undefined,
            }
            const { action } = input
            const details = { action, ...states, ...(recordIds && { ids: recordIds.length }) }
            const started = await audited(api, context, 'bulk.start', type, details, ({ operator }) =>
              bulk.start({
                action,
                type,
                filter: { ids: recordIds, ...states },
                ...(operator !== null && { requestedBy: operator.slice(0, 255) }),
              }),
            )
            return { type, run: started, errors: [] }
          },
          (reason) => ({ type, run: null, errors: [reason] }),
        )
      },
    },
    {
      outputFields: (t) => ({
        registryClass: t.field({ type: registryClass, nullable: true, resolve: ({ type }: BulkUpdated) => type }),
        run: t.field({ type: run, nullable: true, resolve: (updated: BulkUpdated) => updated.run }),
        errors: t.stringList({ nullable: false, resolve: (updated: BulkUpdated) => [...updated.errors] }),
      }),
    },
  )

  builder.relayMutationField(
    'geoBulkRunCancel',
    { inputFields: (t) => ({ id: t.id({ required: true, description: 'Id of the run' }) }) },
    {
      description: 'Ends a bulk run after the page that is being done',
      resolve: async (_root, { input }, context): Promise<Cancelled> => {
        await requireAdmin(api, context)
        return orErrors<Cancelled>(
          api,
          async () => {
            const id = String(input.id)
            const run = await audited(api, context, 'bulk.cancel', `run #${id}`, {}, () => bulk.cancel(id))
            return { run, errors: [] }
          },
          (reason) => ({ run: null, errors: [reason] }),
        )
      },
    },
    {
      outputFields: (t) => ({
        run: t.field({ type: run, nullable: true, resolve: (cancelled: Cancelled) => cancelled.run }),
        errors: t.stringList({ nullable: false, resolve: (cancelled: Cancelled) => [...cancelled.errors] }),
      }),
    },
  )
}

interface Updated {
  readonly registry: RegistryEntry | null
  readonly message: string | null
  readonly errors: readonly string[]
}

interface BulkUpdated {
  readonly type: string
  readonly run: BulkRun | null
  readonly errors: readonly string[]
}

interface Cancelled {
  readonly run: BulkRun | null
  readonly errors: readonly string[]
}

async function requireAdmin({ readerOf }: Api, context: object): Promise<void> {
  if (!(await readerOf(context).may('admin_geo'))) throw notAvailable()
}

/** What is the client's to know becomes an entry of `errors`; anything else is an error of the operation. */
function orErrors<Payload>(
  { safely }: Api,
  work: () => Promise<Payload>,
  failed: (reason: string) => Payload,
): Promise<Payload> {
  return safely(async () => {
    try {
      return await work()
    } catch (reason) {
      if (reason instanceof GeoError && reason.status < 500) return failed(messageOf(reason))
      throw reason
    }
  })
}

/** Does it to this site, and keeps who asked for it. */
async function audited<Result>(
  { sources, readerOf }: Api,
  context: object,
  action: AuditAction,
  subject: string,
  details: Readonly<Record<string, unknown>>,
  work: (asker: Asker) => Promise<Result>,
): Promise<Result> {
  const asker = await readerOf(context).asker()
  const { sites, audit } = sources
  const site = sites.me?.name ?? sites.siteName
  return audit.during({ ...asker, site, action, subject, details }, () => work(asker))
}

/** The database of the registries, which only a secondary has. */
function registriesOf({ sources: { sites, databases } }: Api): Knex {
  sites.requireUnfenced()
  if (sites.role === 'secondary' && databases.tracking) return databases.tracking
  throw new GeoError('NOT_SECONDARY', 'Registries are kept by secondaries')
}

async function updateOne(
  api: Api,
  context: object,
  { replicable, registryId }: GlobalRegistryId,
  action: BulkAction,
): Promise<RegistryEntry> {
  const [before] = await entriesOf(api, replicable, [registryId])
  if (!before) throw notAvailable()
  await audited(api, context, `registry.${action}`, `${replicable.name} #${before.recordId}`, {}, async () => {
    const busy = await api.sources.bulk.changeNow(action, replicable, [registryId])
    if (busy.length > 0) throw new GeoError('REGISTRY_BUSY', 'This registry is being worked on; try again')
  })
  const [after] = await entriesOf(api, replicable, [registryId])
  return after ?? before
}

async function recordsOf(api: Api, type: string, ids: readonly GlobalRegistryId[]): Promise<string[]> {
  if (ids.length > MOST_IDS) throw new GeoError('INVALID_REQUEST', `ids: at most ${MOST_IDS}`)
  const replicable = api.sources.byName.get(type)
  if (!replicable || ids.some((id) => id.replicable !== replicable)) {
    throw new GeoError('INVALID_REQUEST', 'ids: not all of them are of this class')
  }
  const entries = await entriesOf(
    api,
    replicable,
    ids.map(({ registryId }) => registryId),
  )
  return entries.map(({ recordId }) => recordId)
}

async function entriesOf(api: Api, replicable: Replicable, registryIds: readonly string[]): Promise<RegistryEntry[]> {
  const order = { by: 'id', descending: false } as const
  return readRegistryPage(registriesOf(api), replicable, { registryIds }, order, { limit: MOST_IDS })
}
