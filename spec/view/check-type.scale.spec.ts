import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { assemble } from '../../lib/geo.ts'
import { checkType } from '../../lib/view/check/type/check-type.ts'
import { explained } from '../support/explained.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

const ROWS = 1_000_000
const BIG = 'widgets|gadgets|widget_states|widget_registry|geo_events'

let paris: SecondarySite
let rome: Assembly

beforeAll(async () => {
  paris = await createSecondarySite()
  const { databases, assembly } = paris
  const { main, tracking } = databases
  // The second half of the rows has no file: few of those at the end of the key order are available.
  await main.raw(
    `insert into widgets (name, file_path) select 'w', case when n <= ${ROWS / 2} then 'f' || n end from generate_series(1, ${ROWS}) n`,
  )
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verification_checksum, verified_at)
     select id, 2, '\\x0100', now() from widgets where file_path is not null`,
  )
  await main.raw(
    `insert into gadgets (name, file_path, verification_state, verification_checksum, verified_at)
     select 'g', case when n % 2 = 0 then 'g' || n end, case when n % 2 = 0 then 2 else 0 end, '\\x0100', now() from generate_series(1, ${ROWS}) n`,
  )
  await main.raw(
    `insert into geo_events (replicable_name, event_name, payload)
     select 'widget', case when n % 2 = 0 then 'created' else 'checksum_succeeded' end, jsonb_build_object('model_record_id', (n / 2)::text)
     from generate_series(1, ${ROWS}) n`,
  )
  await tracking.raw(
    `insert into widget_registry (widget_id, state, verification_state, verification_checksum, blob_key, created_at, verified_at)
     select n, case when n <= ${ROWS / 2} then 2 else 0 end, case when n <= ${ROWS / 2} then 2 else 0 end, '\\x0100', 'f' || n, now(), now()
     from generate_series(1, ${ROWS}) n`,
  )
  for (const table of ['widgets', 'widget_states', 'gadgets', 'geo_events'])
    await main.raw('vacuum analyze ??', [table])
  await tracking.raw('vacuum analyze widget_registry')
  const { widgets, gadgets } = declareReplicables(paris.root)
  rome = assemble({
    ...assembly.settings,
    siteName: 'rome',
    mainDb: main,
    trackingDb: null,
    replicables: [widgets, gadgets] as unknown as Assembly['settings']['replicables'],
  })
  await rome.sites.refresh()
  const { id } = rome.sites.requireMe()
  await main.raw(
    `insert into geo_status_samples (geo_node_id, replicable_name, sampled_at)
     select ?, type, date_trunc('minute', now()) - n * interval '1 minute' from generate_series(1, 60) n, unnest(array['widget', 'gadget']) type`,
    [id],
  )
  await databases.caughtUp()
})
afterAll(async () => {
  await rome?.stop()
  await paris?.close()
})

describe.each(['rome', 'paris'] as const)('geo check type at %s, of a million rows', (name) => {
  const site = () => (name === 'rome' ? rome : paris.assembly)
  const dbs = () => [site().databases.main, site().databases.tracking].filter((db): db is Knex => db !== null)

  it.each(['widget', 'gadget'])('reads none of the large tables whole: %s', async (type) => {
    const check = async () => {
      for await (const checked of checkType(site(), type)) void checked
    }
    for (const db of dbs()) {
      const plans = await explained(db, type, check)
      expect(plans.split('\n\n').filter((plan) => new RegExp(`Seq Scan on (${BIG})\\b`).test(plan))).toEqual([])
    }
  })
})
