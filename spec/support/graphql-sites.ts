import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Request } from 'express'
import express from 'express'
import request, { type Response } from 'supertest'
import type { Geo, GeoOptions } from '../../lib/index.ts'
import { type GeoGraphql, geoGraphql } from '../../lib/view/graphql/index.ts'
import { createWatchedSites, type WatchedSites, type WatchedSitesOptions } from './watched-sites.ts'

export type Role = 'admin' | 'reader' | 'nobody'

/** What a client sends beside the operation. */
export interface AskOptions {
  readonly as?: Role
  readonly variables?: Record<string, unknown>
}

/** The primary `rome` and the secondary `paris`, both with the GraphQL API, over HTTP. */
export interface GraphqlSites extends WatchedSites {
  readonly geo: { readonly rome: Geo | null; readonly paris: Geo }
  readonly graphql: { readonly rome: GeoGraphql; readonly paris: GeoGraphql }
  /** Of paris, with a trailing slash. */
  readonly parisUrl: string
  /** Flags that are off, by name of the type. */
  readonly off: Set<string>
  /** An operation at paris, unless told otherwise, as JSON. */
  ask(query: string, options?: AskOptions & { readonly at?: string }): Promise<Response>
  /** The same; throws where there are errors. */
  data<Data = Record<string, never>>(query: string, options?: AskOptions): Promise<Data>
}

const ABILITIES: Readonly<Record<string, readonly string[]>> = {
  admin: ['read_geo', 'admin_geo'],
  reader: ['read_geo'],
}

export const asRole: Partial<GeoOptions> = {
  authorize: (incoming: Request, ability) => (ABILITIES[incoming.get('x-role') ?? ''] ?? []).includes(ability),
  operator: (incoming: Request) => incoming.get('x-role') ?? null,
}

export async function createGraphqlSites(options: WatchedSitesOptions = {}): Promise<GraphqlSites> {
  const off = new Set<string>()
  const features = { isEnabled: (flag: string) => !off.has(flag.replace(/^geo_(.*)_replication$/, '$1')) }
  const graphql = { rome: geoGraphql(), paris: geoGraphql() }
  const sites = await createWatchedSites({
    both: { ...asRole, features, ...options.both },
    rome: { graphql: graphql.rome, ...options.rome },
    paris: { graphql: graphql.paris, ...options.paris },
  })
  const { databases, assembly } = sites.paris
  const server: Server = createServer(express().use(assembly.router))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const parisUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  await databases.main('geo_nodes').where({ name: 'paris' }).update({ url: parisUrl })
  await sites.rome.sites.refresh()
  await databases.caughtUp()
  await assembly.sites.refresh()

  const ask: GraphqlSites['ask'] = (query, { as = 'admin', variables, at = `${parisUrl}api/graphql` } = {}) =>
    request(at).post('').set('x-role', as).send({ query, variables })
  return {
    ...sites,
    geo: { rome: null, paris: sites.paris.geo },
    graphql,
    parisUrl,
    off,
    ask,
    async data(query, given) {
      const { body } = await ask(query, given)
      if (body.errors) throw new Error(JSON.stringify(body.errors))
      return body.data
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await sites.close()
    },
  }
}
