import type { Site } from '../../site-table.ts'
import type { Api } from './api.ts'
import type { BulkRunTypeRef } from './bulk-run-type.ts'
import type { SiteTypeRef } from './site-type.ts'

/** `geoNode` (GB.H.1) and the bulk runs of this site. Without `read_geo` there is nothing to be seen. */
export function defineQueries({ builder, sources, readerOf }: Api, site: SiteTypeRef, run: BulkRunTypeRef): void {
  const mayRead = (context: object) => readerOf(context).may('read_geo')
  builder.queryFields((t) => ({
    geoNode: t.field({
      type: site,
      nullable: true,
      description: 'Find a site',
      args: { name: t.arg.string({ required: false, description: 'Its name. Default: this site' }) },
      resolve: async (_root, { name }, context) => ((await mayRead(context)) ? siteNamed({ sources }, name) : null),
    }),
    geoNodes: t.field({
      type: [site],
      nullable: true,
      description: 'All sites, by id',
      resolve: async (_root, _args, context) => {
        if (!(await mayRead(context))) return null
        await sources.sites.ensureFresh()
        return [...sources.sites.all].sort((left, right) => Number(left.id) - Number(right.id))
      },
    }),
    geoBulkRun: t.field({
      type: run,
      nullable: true,
      description: 'A bulk run of this site',
      args: { id: t.arg.id({ required: true }) },
      resolve: async (_root, { id }, context) => ((await mayRead(context)) ? sources.bulk.get(String(id)) : null),
    }),
    geoBulkRuns: t.field({
      type: [run],
      nullable: true,
      description: 'The newest 100 bulk runs of this site, the newest first',
      resolve: async (_root, _args, context) => ((await mayRead(context)) ? sources.bulk.list() : null),
    }),
  }))
}

export async function siteNamed({ sources }: Pick<Api, 'sources'>, name?: string | null): Promise<Site | null> {
  const { sites } = sources
  await sites.ensureFresh()
  return name === undefined || name === null ? sites.me : sites.byName(name)
}
