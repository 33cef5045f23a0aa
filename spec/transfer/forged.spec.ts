import { randomBytes, randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { AllowedIps, EVERY_IP } from '../../lib/allowed-ips.ts'
import { systemClock } from '../../lib/clock.ts'
import { SiteDirectory } from '../../lib/site.ts'
import { authenticate, signRequest } from '../../lib/transfer/token.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { type ForgedKnocks, openForgedKnocks } from '../support/forged-knocks.ts'

const FORGERIES = 3000

let knocks: ForgedKnocks
beforeAll(async () => {
  knocks = await openForgedKnocks()
})
afterAll(() => knocks?.close())

/** Each door lets in whom it is for; that the primary lends no copy is said to the primary alone. */
const OPEN = { one: 200, many: 200, status: 201, site: 200, details: 200, graphql: 200, copies: 409 }

it(`No door of a primary opens to any of ${FORGERIES} forged requests, and nothing changes`, async () => {
  expect(await knocks.genuine()).toEqual(OPEN)
  const before = await knocks.everything()
  const seed = Number(process.env['GEO_SEED'] ?? randomInt(1_000_000))
  const { sent, byStatus, accepted } = await knocks.knock(seed, FORGERIES)
  console.log(JSON.stringify({ seed, sent, byStatus, accepted: accepted.length }))
  expect(accepted.slice(0, 5)).toEqual([])
  expect(sent).toBe(FORGERIES)
  expect(await knocks.everything()).toEqual(before)
  expect(await knocks.genuine()).toEqual(OPEN)
})

it('Whether there is an access key cannot be told by how long a refusal takes', async () => {
  const databases: SpecDatabases = await createSpecDatabases()
  try {
    await addSites(databases.main, 'paris')
    const sites = new SiteDirectory('paris', databases.main, ENCRYPTION_KEY, systemClock)
    await sites.refresh()
    const door = { sites, allowedIps: new AllowedIps(EVERY_IP), clock: systemClock }
    const good = await signRequest(
      sites.requireMe(),
      sites.secretOf(sites.requireMe()),
      { scope: 'geo_api' },
      systemClock,
    )
    const token = good.slice(good.indexOf(':') + 1)
    const unsigned = token.slice(0, token.lastIndexOf('.'))
    const nobody = (count: number) => Array.from({ length: count }, () => randomBytes(15).toString('base64url'))
    const signature = () => `${randomBytes(32).toString('base64url')}`
    const medianMs = async (accessKeys: readonly string[]): Promise<number> => {
      const times: number[] = []
      for (const accessKey of accessKeys) {
        const header = `GL-Geo ${accessKey}:${unsigned}.${signature()}`
        const startedAt = performance.now()
        await expect(authenticate({ ip: '127.0.0.1', get: () => header } as never, door)).rejects.toMatchObject({
          code: 'UNAUTHORIZED',
        })
        times.push(performance.now() - startedAt)
      }
      return times.sort((left, right) => left - right)[Math.floor(times.length / 2)] ?? 0
    }
    const there = Array.from({ length: 1000 }, () => sites.requireMe().accessKey)
    await medianMs([...there.slice(0, 200), ...nobody(200)])
    const ratios: number[] = []
    for (let round = 0; round < 5; round += 1) ratios.push((await medianMs(nobody(1000))) / (await medianMs(there)))
    ratios.sort((left, right) => left - right)
    expect(ratios[2]).toBeGreaterThan(0.8)
    expect(ratios[2]).toBeLessThan(1.25)
  } finally {
    await databases.destroy()
  }
})
