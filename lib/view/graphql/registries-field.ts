import { resolveCursorConnection } from '@pothos/plugin-relay'
import type { Replicable } from '../../blob/replicable.ts'
import { GeoError } from '../../errors.ts'
import type { RegistryEntry } from '../../registry/registry-page.ts'
import { decodeCursor, encodeCursor } from '../registries/cursor.ts'
import type { FoundRegistries, RegistryFilters, RegistrySort } from '../registries/finder.ts'
import { resolveRegistries } from '../registries/resolver.ts'
import type { Api } from './api.ts'
import type { RegistryTypeRef } from './registry-type.ts'
import { defineRegistryId, type GlobalRegistryId } from './scalars.ts'
import type { SiteTypeRef } from './site-type.ts'

export const DEFAULT_PAGE_SIZE = 100
export const LARGEST_PAGE = 1000
const MOST_COUNTED = 1000

interface PageArguments {
  readonly first?: number | null | undefined
  readonly last?: number | null | undefined
  readonly after?: string | null | undefined
  readonly before?: string | null | undefined
}

/** The field `widgetRegistries` of a site (GB.H.2): a connection by position, whose pages are read when they are asked for. */
export function defineRegistriesField(api: Api, replicable: Replicable, ref: RegistryTypeRef, site: SiteTypeRef): void {
  const { builder, enums, sources, readerOf, safely } = api
  const { names } = replicable
  const title = names.plural.replaceAll('_', ' ')
  const id = defineRegistryId(builder, replicable)
  builder.objectField(site, names.registriesField, (t) =>
    t.connection(
      {
        type: ref,
        nullable: true,
        description: `Find ${title} registries on this node`,
        args: {
          ids: t.arg({ type: [id], required: false, description: 'Filters by ids of registries' }),
          replicationState: t.arg({ type: enums.replicationState, required: false }),
          verificationState: t.arg({ type: enums.verificationState, required: false }),
          keyword: t.arg.string({ required: false, deprecationReason: 'As in GitLab since 17.9' }),
          sort: t.arg({ type: enums.sort, required: false, defaultValue: 'ID_ASC' as const }),
        },
        resolve: (node, args, context) =>
          safely(async () => {
            const mayRead = await readerOf(context).may('read_geo')
            const sort: RegistrySort = args.sort ?? 'ID_ASC'
            const filters: RegistryFilters = {
              ...(args as Omit<RegistryFilters, 'ids'>),
              ids: (args.ids as unknown as GlobalRegistryId[] | null | undefined)?.map(({ registryId }) => registryId),
              sort,
            }
            const found = resolveRegistries(sources, node, replicable, filters, { mayRead })
            return connectionOf(found, () => safely(() => readPage(found, sort, args)))
          }),
      },
      {
        name: `${names.registryClass}Connection`,
        fields: (fields) => ({
          count: fields.int({
            nullable: false,
            description: 'How many there are, up to the limit; one more than that where there are more',
            args: { limit: fields.arg.int({ defaultValue: MOST_COUNTED, required: true }) },
            resolve: ({ found }, { limit }) => (found ? safely(() => countUpTo(found, limit)) : 0),
          }),
        }),
      },
      { name: `${names.registryClass}Edge` },
    ),
  )
}

/** The page is read once, and only where it is asked for. */
function connectionOf(found: FoundRegistries, read: () => ReturnType<typeof readPage>) {
  let page: ReturnType<typeof readPage> | undefined
  const once = () => {
    page ??= read()
    return page
  }
  return {
    found,
    get edges() {
      return once().then(({ edges }) => edges)
    },
    get pageInfo() {
      return once().then(({ pageInfo }) => pageInfo)
    },
  }
}

function readPage(found: FoundRegistries, sort: RegistrySort, args: PageArguments) {
  return resolveCursorConnection<Promise<readonly RegistryEntry[]>>(
    {
      args,
      defaultSize: DEFAULT_PAGE_SIZE,
      maxSize: LARGEST_PAGE,
      toCursor: ({ position }) => encodeCursor(sort, position),
    },
    ({ after, before, limit, inverted }) =>
      found.page({
        after: after === undefined ? null : decodeCursor(sort, after),
        before: before === undefined ? null : decodeCursor(sort, before),
        limit,
        fromEnd: inverted,
      }),
  )
}

async function countUpTo(found: FoundRegistries, limit: number): Promise<number> {
  if (limit < 1) throw new GeoError('INVALID_REQUEST', 'limit must be greater than or equal to 1')
  if (limit > MOST_COUNTED) {
    throw new GeoError('INVALID_REQUEST', `limit must be less than or equal to ${MOST_COUNTED}`)
  }
  return found.count(limit)
}
