import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Replicable } from '../../../lib/blob/replicable.ts'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../../lib/verification/verification-state.ts'
import { addHostRow, addRegistryRow, type RegistryColumns, registryRow } from '../../support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
})
afterAll(() => sites?.close())
beforeEach(async () => {
  const { tracking } = sites.paris.databases
  for (const table of ['widget_registry', 'gadget_registry', 'geo_bulk_runs']) await tracking(table).delete()
})

async function add(type: Replicable, columns: RegistryColumns) {
  const { main, tracking } = sites.paris.databases
  const recordId = await addHostRow(main, type)
  await addRegistryRow(tracking, type, recordId, columns)
  const row = await registryRow(tracking, type, recordId)
  return { recordId, gid: `gid://gitlab/Geo::${type.names.registryClass}/${row?.['id']}` }
}

const FAILED = {
  state: SYNC_STATE.failed,
  retry_count: 7,
  retry_at: new Date('2999-01-01T00:00:00Z'),
  last_sync_failure: 'no',
  error_code: 'HTTP_STATUS',
}
const VERIFIED = { state: SYNC_STATE.synced, verification_state: VERIFICATION_STATE.succeeded }

const UPDATE = `mutation ($id: AnyRegistryID!, $action: GeoRegistryAction!) {
  geoRegistriesUpdate(input: { registryId: $id, action: $action, clientMutationId: "mine" }) {
    clientMutationId message errors
    registry { ... on WidgetRegistry { id state retryCount verificationState } ... on GadgetRegistry { id state gadgetId } }
  } }`

describe('geoRegistriesUpdate', () => {
  it('has a failed blob fetched again, its retry fields reset', async () => {
    const { gid } = await add(sites.paris.widgets, FAILED)
    const { geoRegistriesUpdate } = await sites.data<Record<string, unknown>>(UPDATE, {
      variables: { id: gid, action: 'RESYNC' },
    })
    expect(geoRegistriesUpdate).toEqual({
      clientMutationId: 'mine',
      message: 'Registry entry enqueued to be resynced',
      errors: [],
      registry: { id: gid, state: 'PENDING', retryCount: 0, verificationState: 'DISABLED' },
    })
  })

  it('has a verified copy hashed again', async () => {
    const { gid } = await add(sites.paris.widgets, VERIFIED)
    const { geoRegistriesUpdate } = await sites.data<Record<string, unknown>>(UPDATE, {
      variables: { id: gid, action: 'REVERIFY' },
    })
    expect(geoRegistriesUpdate).toMatchObject({
      message: 'Registry entry enqueued to be reverified',
      registry: { id: gid, state: 'SYNCED', verificationState: 'PENDING' },
    })
  })

  it('knows the registries of every type, uuid keys too', async () => {
    const { gid, recordId } = await add(sites.paris.gadgets, FAILED)
    const { geoRegistriesUpdate } = await sites.data<Record<string, unknown>>(UPDATE, {
      variables: { id: gid, action: 'RESYNC' },
    })
    expect(geoRegistriesUpdate).toMatchObject({ registry: { id: gid, state: 'PENDING', gadgetId: recordId } })
  })

  it('says of a row that is being written that it is busy, and does nothing to it', async () => {
    const { gid, recordId } = await add(sites.paris.widgets, FAILED)
    const { tracking } = sites.paris.databases
    const trx = await tracking.transaction()
    await trx('widget_registry').where({ widget_id: recordId }).forUpdate()
    const { geoRegistriesUpdate } = await sites.data<Record<string, unknown>>(UPDATE, {
      variables: { id: gid, action: 'RESYNC' },
    })
    await trx.rollback()
    expect(geoRegistriesUpdate).toMatchObject({
      registry: null,
      errors: ["An error occurred while trying to update the registry: 'This registry is being worked on; try again'."],
    })
    expect(await registryRow(tracking, sites.paris.widgets, recordId)).toMatchObject({ retry_count: 7 })
  })

  it.each([
    ['a reader', 'reader', 'RESOURCE_NOT_AVAILABLE'],
    ['nobody', 'nobody', 'RESOURCE_NOT_AVAILABLE'],
  ] as const)('is not available to %s, who learns nothing of the row', async (_, as, code) => {
    const { gid, recordId } = await add(sites.paris.widgets, FAILED)
    const { body } = await sites.ask(UPDATE, { as, variables: { id: gid, action: 'RESYNC' } })
    const { body: ofNone } = await sites.ask(UPDATE, {
      as,
      variables: { id: 'gid://gitlab/Geo::WidgetRegistry/999999', action: 'RESYNC' },
    })
    expect(body.errors).toMatchObject([{ extensions: { code } }])
    expect(ofNone.errors).toEqual(body.errors)
    expect(await registryRow(sites.paris.databases.tracking, sites.paris.widgets, recordId)).toMatchObject({
      retry_count: 7,
    })
  })

  it('of a row that there is not is not available either', async () => {
    const { body } = await sites.ask(UPDATE, {
      variables: { id: 'gid://gitlab/Geo::WidgetRegistry/999999', action: 'RESYNC' },
    })
    expect(body.errors).toMatchObject([{ extensions: { code: 'RESOURCE_NOT_AVAILABLE' } }])
  })

  it('on the primary says that registries are kept by secondaries', async () => {
    const { body } = await sites.ask(UPDATE, {
      at: `${sites.url}api/graphql`,
      variables: { id: 'gid://gitlab/Geo::WidgetRegistry/1', action: 'RESYNC' },
    })
    expect(body.data.geoRegistriesUpdate.errors).toEqual([
      "An error occurred while trying to update the registry: 'Registries are kept by secondaries'.",
    ])
  })

  it.each([
    ['a bare number', '1', 'is not a valid Global ID'],
    ['a number too long', `gid://gitlab/Geo::WidgetRegistry/${'9'.repeat(19)}`, 'is not a valid Global ID'],
    ['another class', 'gid://gitlab/Geo::UploadRegistry/1', 'does not represent an instance of Geo::BaseRegistry'],
  ])('does not take %s as an id', async (_, id, message) => {
    const { body } = await sites.ask(UPDATE, { variables: { id, action: 'RESYNC' } })
    expect(body.errors).toMatchObject([
      { message: expect.stringContaining(message), extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } },
    ])
  })
})

const BULK = `mutation ($input: GeoRegistriesBulkUpdateInput!) {
  geoRegistriesBulkUpdate(input: $input) { registryClass errors run { id action type state requestedBy } } }`

describe('geoRegistriesBulkUpdate', () => {
  it('is a bulk run, whose progress is read, and which ends', async () => {
    for (let count = 0; count < 3; count += 1) await add(sites.paris.widgets, FAILED)
    const kept = await add(sites.paris.widgets, VERIFIED)
    const { geoRegistriesBulkUpdate } = await sites.data<{ geoRegistriesBulkUpdate: { run: { id: string } } }>(BULK, {
      variables: { input: { registryClass: 'WIDGET_REGISTRY', action: 'RESYNC_ALL', replicationState: 'FAILED' } },
    })
    expect(geoRegistriesBulkUpdate).toEqual({
      registryClass: 'WIDGET_REGISTRY',
      errors: [],
      run: { id: expect.any(String), action: 'RESYNC_ALL', type: 'widget', state: 'WAITING', requestedBy: 'admin' },
    })
    await sites.paris.run('bulk')
    const { geoBulkRun } = await sites.data<{ geoBulkRun: object }>(
      `{ geoBulkRun(id: "${geoRegistriesBulkUpdate.run.id}") { state changed doneFraction failure finishedAt } }`,
      { as: 'reader' },
    )
    expect(geoBulkRun).toEqual({
      state: 'FINISHED',
      changed: 3,
      doneFraction: 1,
      failure: null,
      finishedAt: expect.stringMatching(/^20.*Z$/),
    })
    const { tracking } = sites.paris.databases
    expect(await registryRow(tracking, sites.paris.widgets, kept.recordId)).toMatchObject({ state: SYNC_STATE.synced })
  })

  it('of some ids changes those alone', async () => {
    const [one, other] = [await add(sites.paris.widgets, FAILED), await add(sites.paris.widgets, FAILED)]
    await sites.data(BULK, {
      variables: { input: { registryClass: 'WIDGET_REGISTRY', action: 'RESYNC_ALL', ids: [one.gid] } },
    })
    await sites.paris.run('bulk')
    const { tracking } = sites.paris.databases
    expect(await registryRow(tracking, sites.paris.widgets, one.recordId)).toMatchObject({ state: SYNC_STATE.pending })
    expect(await registryRow(tracking, sites.paris.widgets, other.recordId)).toMatchObject({ state: SYNC_STATE.failed })
  })

  it('of ids of another class, and beside a run of its kind, says why not', async () => {
    const { gid } = await add(sites.paris.gadgets, FAILED)
    const input = { registryClass: 'WIDGET_REGISTRY', action: 'REVERIFY_ALL' }
    const errors = async (more: object = {}) => {
      const { geoRegistriesBulkUpdate } = await sites.data<{ geoRegistriesBulkUpdate: { errors: string[] } }>(BULK, {
        variables: { input: { ...input, ...more } },
      })
      return geoRegistriesBulkUpdate.errors
    }
    expect(await errors({ ids: [gid] })).toEqual(['ids: not all of them are of this class'])
    expect(await errors()).toEqual([])
    expect(await errors()).toEqual([expect.stringMatching(/^Run \d+ \(reverify of widget\) is active$/)])
  })

  it('can be cancelled, by those who may', async () => {
    const { geoRegistriesBulkUpdate } = await sites.data<{ geoRegistriesBulkUpdate: { run: { id: string } } }>(BULK, {
      variables: { input: { registryClass: 'GADGET_REGISTRY', action: 'REVERIFY_ALL' } },
    })
    const cancel = `mutation { geoBulkRunCancel(input: { id: "${geoRegistriesBulkUpdate.run.id}" }) { errors run { state } } }`
    expect((await sites.ask(cancel, { as: 'reader' })).body.errors).toMatchObject([
      { extensions: { code: 'RESOURCE_NOT_AVAILABLE' } },
    ])
    expect(await sites.data(cancel)).toEqual({ geoBulkRunCancel: { errors: [], run: { state: 'CANCELLED' } } })
    const unknown = 'mutation { geoBulkRunCancel(input: { id: "12345" }) { errors run { id } } }'
    expect(await sites.data(unknown)).toEqual({
      geoBulkRunCancel: { errors: ['There is no bulk run "12345"'], run: null },
    })
  })
})
