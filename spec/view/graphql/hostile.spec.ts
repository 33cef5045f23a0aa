import { afterAll, beforeAll, expect, it } from 'vitest'
import { addHostRow, addRegistryRow } from '../../support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'
import { sendHostile } from '../../support/send-hostile.ts'

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
  const { databases, widgets } = sites.paris
  for (let count = 0; count < 5; count += 1)
    await addRegistryRow(databases.tracking, widgets, await addHostRow(databases.main, widgets))
})
afterAll(() => sites?.close())

it('Malformed and hostile operations get errors of the client and none of ours; the next is answered as before', async () => {
  expect(await sendHostile(sites, { seed: 20_261_124, count: 400 })).toBe(400)
  expect(await sites.data('{ geoNode { name } }')).toEqual({ geoNode: { name: 'paris' } })
  expect(sites.paris.logger.lines.filter(({ level }) => level === 'error')).toEqual([])
})
