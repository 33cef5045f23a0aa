import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'
import { sendHostile } from '../../support/send-hostile.ts'

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
})
afterAll(() => sites?.close())

it('10,000 malformed and hostile operations leave the process up', async () => {
  const seed = Number(process.env['GEO_HOSTILE_SEED'] ?? randomInt(2 ** 31))
  console.log(`seed ${seed}`)
  expect(await sendHostile(sites, { seed, count: 10_000 })).toBe(10_000)
  expect(await sites.data('{ geoNode { name } }')).toEqual({ geoNode: { name: 'paris' } })
  expect(sites.paris.logger.lines.filter(({ level }) => level === 'error')).toEqual([])
})
