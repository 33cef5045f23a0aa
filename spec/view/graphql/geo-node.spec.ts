import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../../fixtures/widget-app/replicables.ts'
import { defineReplicable } from '../../../lib/index.ts'
import { addRegistryRow } from '../../support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites({
    paris: {
      // Widgets are not released, gadgets are; the third is there to be shown alone.
      declare(root) {
        const { widgets, gadgets, store } = declareReplicables(root)
        const designs = defineReplicable<{ path: string }>({
          name: 'design_entry',
          table: 'designs',
          verificationState: 'separate',
          store,
          blob: ({ path }) => path,
        })
        return [widgets, Object.freeze({ ...gadgets, released: '1.0' }), designs]
      },
    },
  })
  const { databases, widgets, gadgets } = sites.paris
  await addRegistryRow(databases.tracking, widgets, '7')
  await addRegistryRow(databases.tracking, gadgets, '0b8de6f2-0d2f-4d76-9f3e-7a1f0c1f1a11')
})
afterAll(() => sites?.close())
beforeEach(() => sites.off.clear())

interface Shown {
  __schema: { types: { name: string; fields: { name: string }[] | null; enumValues: { name: string }[] | null }[] }
}

/** What introspection tells: the names of all types, and what is in one of them. */
async function introspect() {
  const { __schema } = await sites.data<Shown>(
    '{ __schema { types { name fields(includeDeprecated: true) { name } enumValues { name } } } }',
  )
  const typeOf = (name: string) => __schema.types.find((type) => type.name === name)
  return {
    types: __schema.types.map(({ name }) => name),
    fieldsOf: (name: string) => (typeOf(name)?.fields ?? []).map((field) => field.name),
    valuesOf: (name: string) => (typeOf(name)?.enumValues ?? []).map((value) => value.name),
  }
}

describe('A site', () => {
  it('has the fields of a GeoNode, and the registries of every declared type', async () => {
    const { fieldsOf } = await introspect()
    const expected = [
      ...['id', 'primary', 'enabled', 'name', 'url', 'internalUrl', 'filesMaxCapacity', 'reposMaxCapacity'],
      ...['verificationMaxCapacity', 'containerRepositoriesMaxCapacity', 'syncObjectStorage', 'selectiveSyncType'],
      ...['selectiveSyncShards', 'selectiveSyncNamespaces', 'minimumReverificationInterval'],
      // Not in the original.
      'progress',
      ...['widgetRegistries', 'gadgetRegistries', 'designEntryRegistries'],
    ]
    expect(fieldsOf('GeoNode').toSorted()).toEqual(expected.toSorted())
  })

  it('tells what it is', async () => {
    const { databases, assembly } = sites.paris
    await databases
      .main('geo_nodes')
      .where({ name: 'paris' })
      .update({
        selective_sync_type: 'namespaces',
        selective_sync_namespace_ids: ['7', 'eight'],
        files_max_capacity: 3,
      })
    await databases.caughtUp()
    await assembly.sites.refresh()
    const { geoNode } = await sites.data<{ geoNode: object }>(`{ geoNode {
      id primary enabled name url internalUrl filesMaxCapacity reposMaxCapacity verificationMaxCapacity
      containerRepositoriesMaxCapacity syncObjectStorage selectiveSyncType selectiveSyncShards
      selectiveSyncNamespaces { nodes { id } } minimumReverificationInterval } }`)
    expect(geoNode).toEqual({
      id: assembly.sites.me?.id,
      primary: false,
      enabled: true,
      name: 'paris',
      url: sites.parisUrl,
      internalUrl: sites.parisUrl,
      filesMaxCapacity: 3,
      reposMaxCapacity: 10,
      verificationMaxCapacity: 10,
      containerRepositoriesMaxCapacity: 2,
      syncObjectStorage: false,
      selectiveSyncType: 'namespaces',
      selectiveSyncShards: [],
      selectiveSyncNamespaces: { nodes: [{ id: '7' }, { id: 'eight' }] },
      minimumReverificationInterval: 90,
    })
  })
})

describe('A type whose flag is off', () => {
  const names = (field: string) => `{ geoNode { ${field} { count nodes { id } pageInfo { hasNextPage } } } }`

  it('and that is not released cannot be seen, from one request to the next', async () => {
    const named = async () => (await sites.ask(names('widgetRegistries'))).body
    expect((await named()).data.geoNode.widgetRegistries.count).toBe(1)
    sites.off.add('widget')
    const { data, errors } = await named()
    expect(data ?? null).toBeNull()
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatchObject({
      message: expect.stringMatching(/^Cannot query field "widgetRegistries" on type "GeoNode"/),
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
    })
    sites.off.clear()
    expect((await named()).data.geoNode.widgetRegistries.count).toBe(1)
  })

  it('is not told of by introspection, in no type, field or enum', async () => {
    sites.off.add('widget')
    const hidden = await introspect()
    expect(hidden.types.filter((name) => /widget/i.test(name))).toEqual([])
    expect(hidden.fieldsOf('GeoNode')).not.toContain('widgetRegistries')
    expect(hidden.valuesOf('GeoRegistryClass').toSorted()).toEqual(['DESIGN_ENTRY_REGISTRY', 'GADGET_REGISTRY'])
    sites.off.clear()
    const shown = await introspect()
    expect(shown.types).toEqual(
      expect.arrayContaining(['WidgetRegistry', 'WidgetRegistryConnection', 'WidgetRegistryID']),
    )
    expect(shown.valuesOf('GeoRegistryClass')).toContain('WIDGET_REGISTRY')
  })

  it('is not suggested to those who misspell it', async () => {
    sites.off.add('widget')
    const { errors } = (await sites.ask(names('widgetRegistry'))).body
    expect(errors[0].message).not.toContain('widgetRegistries')
  })

  it('and that is released is there, and empty', async () => {
    const empty = { count: 0, nodes: [], pageInfo: { hasNextPage: false } }
    const read = async () => (await sites.data<{ geoNode: object }>(names('gadgetRegistries'))).geoNode
    expect(await read()).toMatchObject({ gadgetRegistries: { count: 1 } })
    sites.off.add('gadget')
    expect(await read()).toEqual({ gadgetRegistries: empty })
  })

  it('and all others are off too, leaves those that are released', async () => {
    const { assembly } = sites.paris
    for (const { name } of assembly.settings.replicables) sites.off.add(name)
    const { fieldsOf } = await introspect()
    expect(fieldsOf('GeoNode').filter((name) => name.endsWith('Registries'))).toEqual(['gadgetRegistries'])
  })
})
