import type { Site } from '../../site-table.ts'
import type { Api } from './api.ts'
import type { BulkRunTypeRef } from './bulk-run-type.ts'
import type { SiteTypeRef } from './site-type.ts'

/** `geoNode` (GB.H.1) and the bulk runs of this site. Without `read_geo` there is nothing to be seen. */
export function defineQueries(
  { builder, sources, readerOf, safely }: Api,
  site: SiteTypeRef,
  run: BulkRunTypeRef,
): void {
  const forReaders = <Result>(context: object, work: () => Promise<Result>): Promise<Result | null> =>
    safely(async () => ((await readerOf(context).may('read_geo')) ? work() : null))
  builder.queryFields((t) => ({
    geoNode: t.field({
      type: site,
      nullable: true,
      description: 'Find a site',
      args: { name: t.arg.string({ required: false, description: 'Its name. Default: this site' }) },
      resolve: (_root, { name }, context) => forReaders(context, () => siteNamed({ sources }, name)),
    }),
    geoNodes: t.field({
      type: [site],
      nullable: true,
      description: 'All sites, by id',
      resolve: (_root, _args, context) =>
        forReaders(context, async () => {
          await sources.sites.ensureFresh()
          return [...sources.sites.all].sort((left, right) => Number(left.id) - Number(right.id))
        }),
    }),
    geoBulkRun: t.field({
      type: run,
      nullable: true,
      description: 'A bulk run of this site',
      args: { id: t.arg.id({ required: true }) },
      resolve: (_root, { id }, context) => forReaders(context, () => sources.bulk.get(String(id))),
    }),
    geoBulkRuns: t.field({
      type: [run],
      nullable: true,
      description: 'The newest 100 bulk runs of this site, the newest first',
      resolve: (_root, _args, context) => forReaders(context, () => sources.bulk.list()),
    }),
  }))
}

export async function siteNamed({ sources }: Pick<Api, 'sources'>, name?: string | null): Promise<Site | null> {
  const { sites } = sources
  await sites.ensureFresh()
  return name === undefined || name === null ? sites.me : sites.byName(name)
}
