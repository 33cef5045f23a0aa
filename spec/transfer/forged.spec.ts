import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { AllowedIps, EVERY_IP } from '../../lib/allowed-ips.ts'
import { systemClock } from '../../lib/clock.ts'
import { SiteDirectory } from '../../lib/site.ts'
import { authenticate, signRequest } from '../../lib/transfer/token.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { type ForgedKnocks, knockInVain, openForgedKnocks } from '../support/forged-knocks.ts'

const FORGERIES = 3000
const PAIRS = 5000

let knocks: ForgedKnocks
beforeAll(async () => {
  knocks = await openForgedKnocks()
})
afterAll(() => knocks?.close())

it(`No door of a primary opens to any of ${FORGERIES} forged requests, and nothing changes`, async () => {
  await knockInVain(knocks, FORGERIES)
})

it('Whether there is an access key cannot be told by how long a refusal takes', async () => {
  const databases: SpecDatabases = await createSpecDatabases()
  try {
    await addSites(databases.main, 'paris')
    const sites = new SiteDirectory('paris', databases.main, [ENCRYPTION_KEY], systemClock)
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
    const known = sites.requireMe().accessKey
    const refusalMs = async (accessKey: string): Promise<number> => {
      const header = `GL-Geo ${accessKey}:${unsigned}.${randomBytes(32).toString('base64url')}`
      const startedAt = performance.now()
      const refused = await authenticate({ ip: '127.0.0.1', get: () => header } as never, door).catch(
        ({ code }) => code,
      )
      const tookMs = performance.now() - startedAt
      expect(refused).toBe('UNAUTHORIZED')
      return tookMs
    }
    const median = (times: number[]) => times.sort((left, right) => left - right)[Math.floor(times.length / 2)] ?? 0
    const ofKnown: number[] = []
    const ofUnknown: number[] = []
    // In turns, so that whatever else the machine does holds up one as much as the other.
    for (let pair = 0; pair < PAIRS; pair += 1) {
      ofKnown.push(await refusalMs(known))
      ofUnknown.push(await refusalMs(randomBytes(15).toString('base64url')))
    }
    const ratio = median(ofUnknown) / median(ofKnown)
    console.log(JSON.stringify({ pairs: PAIRS, ratio }))
    // Without the verification it is 0.15.
    expect(ratio).toBeGreaterThan(0.7)
    expect(ratio).toBeLessThan(1.4)
  } finally {
    await databases.destroy()
  }
})
