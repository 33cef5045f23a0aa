import type { Replicable } from '../../../blob/replicable.ts'
import { type GatheredStatus, loadNodeStatuses } from '../../../node-status-table.ts'
import { loadOwnStatus } from '../../../site-status-table.ts'
import { typeGauges } from '../../metrics/catalogue.ts'
import { openApiDocument } from '../../rest/openapi.ts'
import { typeFields } from '../../status/fields.ts'
import { COUNTS } from '../../status/type-status.ts'
import { type Check, no, type Outcome, skipped, yes } from '../outcome.ts'
import type { TypeCheckSources } from './sources.ts'

/** Whether the declaration has come through to everything that people and machines look at. */
export function typeIsServed(sources: TypeCheckSources, replicable: Replicable): Check[] {
  const { names } = replicable
  const { scrape, siteFields } = sources.viewing
  return [
    {
      name: `The status of this site has the fields of ${names.plural}`,
      ask: () => statusTells(sources, replicable),
    },
    {
      name: `The documents of the API have the fields of ${names.plural}`,
      ask: async () => documentsTell(sources, replicable),
    },
    {
      name: `The metrics have the gauges of ${names.plural}`,
      async ask() {
        if (!scrape) return skipped('There is no option `metrics`')
        const text = await scrape()
        const gauges = typeGauges(names).map(({ name }) => name)
        const missing = gauges.filter((name) => !text.includes(`# TYPE ${name} gauge\n`))
        if (missing.length === 0) return yes(`${gauges.length} gauges`)
        return no(`missing: ${missing.join(', ')}`, 'Give each createGeo a prom-client registry of its own, or none.')
      },
    },
    {
      name: `GraphQL has the field ${names.registriesField}`,
      async ask() {
        if (!siteFields) return skipped('There is no option `graphql`')
        if (siteFields().includes(names.registriesField)) return yes()
        return sources.gate.replicationEnabled(replicable) || replicable.released !== null
          ? no(
              'The schema of this process does not have it',
              'Pass `geoGraphql()` to the createGeo that declares the type.',
            )
          : skipped('The flag is off here, and the type is not released: the schema does not tell of it')
      },
    },
  ]
}

/** As a process of the site has gathered it last: an old one, or one that does not declare the type, leaves it out. */
async function statusTells(sources: TypeCheckSources, replicable: Replicable): Promise<Outcome> {
  const { plural } = replicable.names
  const { status, gatheredAt } = await latestStatus(sources)
  if (gatheredAt === null) {
    return skipped('No process of this site has gathered a status yet; one that works (`work`) does within a minute')
  }
  const restart = 'Start the processes of this site anew, all with the same declarations.'
  const missing = COUNTS.map((count) => `${plural}_${count}`).filter((field) => !(field in status))
  // Of a role's counts the others are left out where the type is on, and all are null where it is off.
  if (missing.length === COUNTS.length) return no(`What was gathered at ${gatheredAt} has none of them`, restart)
  if (!sources.gate.replicationEnabled(replicable)) return skipped('The flag is off here: they are null')
  if (status[`${plural}_count`] === null) {
    return no(`What was gathered at ${gatheredAt} has no numbers, though the flag is on`, restart)
  }
  return yes(`gathered at ${gatheredAt}`)
}

async function latestStatus({
  databases,
  sites,
}: TypeCheckSources): Promise<{ status: GatheredStatus; gatheredAt: string | null }> {
  const { main, tracking } = databases
  const { me } = sites
  if (sites.role === 'secondary') {
    const own = tracking && (await loadOwnStatus(tracking))
    return { status: own?.status ?? {}, gatheredAt: own?.gatheredAt ?? null }
  }
  const stored = me ? (await loadNodeStatuses(main)).get(me.id) : undefined
  return { status: stored?.status ?? {}, gatheredAt: stored?.updatedAt ?? null }
}

function documentsTell({ settings }: TypeCheckSources, replicable: Replicable): Outcome {
  const { components } = openApiDocument(settings.replicables) as {
    components: { schemas: Record<string, { properties: object }> }
  }
  const documented = components.schemas['GeoNodeStatus']?.properties ?? {}
  const fields = Object.keys(typeFields(replicable))
  const missing = fields.filter((field) => !(field in documented))
  return missing.length === 0
    ? yes(`${fields.length} fields`)
    : no(`missing: ${missing.join(', ')}`, 'Pass the declaration to createGeo in `replicables`.')
}
