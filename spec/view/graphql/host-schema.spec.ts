import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import SchemaBuilder from '@pothos/core'
import RelayPlugin from '@pothos/plugin-relay'
import express, { type Request } from 'express'
import { type GraphQLSchema, graphql } from 'graphql'
import { createYoga } from 'graphql-yoga'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GeoSchemaTypes, geoGraphql, type Reader } from '../../../lib/view/graphql/index.ts'
import { addRegistryRow } from '../../support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

let sites: GraphqlSites
const servers: Server[] = []
beforeAll(async () => {
  sites = await createGraphqlSites()
  await addRegistryRow(sites.paris.databases.tracking, sites.paris.widgets, '7')
})
afterAll(async () => {
  for (const server of servers) await new Promise((resolve) => server.close(resolve))
  await sites?.close()
})
beforeEach(() => sites.off.clear())

/** An endpoint of the host, in an app of its own; returns its address. */
async function serve(schema: GraphQLSchema, contextOf: (request: Request) => object): Promise<string> {
  const yoga = createYoga<{ req: Request }>({ schema, context: ({ req }) => contextOf(req), logging: false })
  const server = createServer(express().use((request, response) => void yoga(request, response)))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`
}

const READ = '{ geoNode { name widgetRegistries { count nodes { widgetId } } } }'
const FOUND = { geoNode: { name: 'paris', widgetRegistries: { count: 1, nodes: [{ widgetId: '7' }] } } }
const EMPTY = { geoNode: { name: 'paris', widgetRegistries: { count: 0, nodes: [] } } }

describe('The schema for an endpoint of the host', () => {
  it('shows all types, those too whose flag is off, and answers them empty', async () => {
    const { paris } = sites.graphql
    sites.off.add('widget')
    const at = await serve(paris.schema(), (request) => paris.context(request))
    const { body } = await sites.ask('{ __type(name: "GeoNode") { fields { name } } }', { at })
    const names = body.data.__type.fields.map((field: { name: string }) => field.name)
    expect(names).toEqual(expect.arrayContaining(['widgetRegistries', 'gadgetRegistries']))
    expect((await sites.ask(READ, { at })).body).toEqual({ data: EMPTY })
    sites.off.clear()
    expect((await sites.ask(READ, { at })).body).toEqual({ data: FOUND })
  })

  it('asks the same of those who read as ours does', async () => {
    const { paris } = sites.graphql
    const at = await serve(paris.schema(), (request) => paris.context(request))
    expect((await sites.ask(READ, { at, as: 'nobody' })).body).toEqual({ data: { geoNode: null } })
  })

  it('has a code for each error, and tells nothing of a statement that fails, also where the host hides no errors', async () => {
    const { paris } = sites.graphql
    const { tracking } = sites.paris.databases
    const contextValue = paris.context({ get: () => 'admin' } as unknown as Request)
    const errorsOf = async (source: string) => {
      const { errors } = await graphql({ schema: paris.schema(), source, contextValue })
      return errors?.map(({ message, extensions }) => ({ message, code: extensions['code'] }))
    }
    expect(await errorsOf('{ geoBulkRun(id: "404") { id } }')).toEqual([
      { message: 'There is no bulk run "404"', code: 'BULK_RUN_UNKNOWN' },
    ])
    expect(await errorsOf('{ geoNode { widgetRegistries { count(limit: 1500) } } }')).toMatchObject([
      { code: 'INVALID_REQUEST' },
    ])
    await tracking.schema.renameTable('widget_registry', 'hidden_registry')
    const failed = await errorsOf('{ geoNode { a: widgetRegistries { nodes { id } } b: widgetRegistries { count } } }')
    await tracking.schema.renameTable('hidden_registry', 'widget_registry')
    const hidden = { message: 'This failed on the server; its log says why', code: 'INTERNAL' }
    expect(failed).toEqual([hidden, hidden])
  })

  it('is not there before createGeo has had it, and no two have the same', () => {
    expect(() => geoGraphql().schema()).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }))
    expect(() => sites.graphql.paris.open({} as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }))
  })
})

describe('A Pothos builder of the host', () => {
  interface HostContext {
    session: { geo: Reader }
  }

  function hostSchema(): GraphQLSchema {
    const builder = new SchemaBuilder<GeoSchemaTypes & { Context: HostContext }>({
      plugins: [RelayPlugin],
      relay: { cursorType: 'String', clientMutationId: 'omit' },
    })
    builder.queryType({ fields: (t) => ({ hello: t.string({ resolve: () => 'world' }) }) })
    builder.mutationType({})
    builder.scalarType('Time', { serialize: String })
    builder.scalarType('BigInt', { serialize: Number })
    sites.graphql.paris.addTo(builder, ({ session }) => session.geo)
    return builder.toSchema()
  }
  const contextOf = (request: Request): HostContext => ({
    session: { geo: sites.graphql.paris.context(request).geoReader },
  })

  it('has our types and fields beside its own', async () => {
    const at = await serve(hostSchema(), contextOf)
    const query = '{ hello geoNode { name widgetRegistries { count edges { node { widgetId primaryChecksum } } } } }'
    const edges = [{ node: { widgetId: '7', primaryChecksum: null } }]
    expect((await sites.ask(query, { at })).body).toEqual({
      data: { hello: 'world', geoNode: { name: 'paris', widgetRegistries: { count: 1, edges } } },
    })
    expect((await sites.ask(query, { at, as: 'nobody' })).body).toEqual({ data: { hello: 'world', geoNode: null } })
  })

  it('has our changes too, for those who may', async () => {
    const at = await serve(hostSchema(), contextOf)
    const { body } = await sites.ask('{ geoNode { widgetRegistries { edges { node { id } } } } }', { at })
    const { id } = body.data.geoNode.widgetRegistries.edges[0].node
    const change = `mutation { geoRegistriesUpdate(input: { registryId: "${id}", action: RESYNC }) { errors } }`
    expect((await sites.ask(change, { at })).body).toEqual({ data: { geoRegistriesUpdate: { errors: [] } } })
    expect((await sites.ask(change, { at, as: 'reader' })).body.errors).toHaveLength(1)
  })
})
