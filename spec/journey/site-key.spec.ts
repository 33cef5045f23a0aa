import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createGeo, type Site } from '../../lib/index.ts'
import { rotateSiteKey } from '../../lib/site-rotation.ts'
import { countRequests, type RequestCounter } from '../support/request-counter.ts'
import { PRIMARY, SECONDARY, startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const TIMEOUT_MS = 60_000
/** Every process looks at the sites every five seconds at least. */
const LEAD_S = 12

let requests: RequestCounter
let sites: TwoSites
beforeAll(async () => {
  sites = await startTwoSites({
    flags: { widgets: true, gadgets: true },
    between: async (primaryUrl) => {
      requests = await countRequests(primaryUrl)
      return requests.url
    },
  })
})
afterAll(async () => {
  await sites?.stop()
  await requests?.close()
})

/** By key, how many requests of the secondary were signed with it from then on. */
function signedSince(position: number): Record<string, number> {
  const counted: Record<string, number> = {}
  for (const { accessKey = 'none' } of requests.answers.slice(position))
    counted[accessKey] = (counted[accessKey] ?? 0) + 1
  return counted
}

it('Both sites get a new key while files arrive, and no request of either is refused for it', {
  timeout: 300_000,
}, async () => {
  const { primary, secondary, databases, encryptionKey, adminToken } = sites
  let uploaded = 0
  let over = false
  const uploading = (async () => {
    for (; !over; uploaded += 1) {
      await sites.upload('widgets', `${uploaded}.txt`, randomBytes(2000))
      await pause(20)
    }
  })()
  // What ends it early is told in the end.
  uploading.catch(() => undefined)

  const arrived = async () =>
    Number((await databases.tracking('widget_registry').where({ state: 2 }).count())[0]?.['count'])
  /** Files go on to arrive, and the primary, which signs what it asks, gets answers of the secondary. */
  const goesOn = async (paris: Site) => {
    const enough = Math.max(uploaded, await arrived()) + 5
    await until(
      async () => (await arrived()) > enough,
      TIMEOUT_MS,
      () => `more files: ${secondary.output.slice(-3000)}`,
    )
    const page = await fetch(`${primary.url}/admin/geo/sites/${paris.id}/replication/widgets`, {
      headers: { authorization: `Bearer ${adminToken}` },
    })
    expect(page.status, `${await page.text()} ${primary.output.slice(-2000)}`).toBe(200)
  }
  const now = async () => Number((await databases.main.raw('select extract(epoch from now()) * 1000 as ms')).rows[0].ms)

  const geo = createGeo({ siteName: PRIMARY, mainDb: databases.main, replicables: [], encryptionKey, work: false })
  const known = await geo.sites.list().finally(() => geo.stop())
  const old = known.find(({ name }) => name === SECONDARY) as Site
  await goesOn(old)
  const key = Buffer.from(encryptionKey, 'hex')
  const [tokyo, paris] = [
    await rotateSiteKey(databases.main, key, PRIMARY, LEAD_S),
    await rotateSiteKey(databases.main, key, SECONDARY, LEAD_S),
  ]
  const next = paris.nextKey
  if (!next || !tokyo.nextKey) throw new Error('There is no next key')
  await goesOn(paris)
  expect(Object.keys(signedSince(0))).toEqual([old.accessKey])

  await until(async () => (await now()) > next.fromMs, TIMEOUT_MS)
  await until(() => next.accessKey in signedSince(0), TIMEOUT_MS)
  await goesOn(paris)
  await until(async () => (await now()) > next.oldUntilMs, TIMEOUT_MS)
  const position = requests.answers.length
  await goesOn(paris)
  expect(Object.keys(signedSince(position))).toEqual([next.accessKey])

  over = true
  await uploading
  await sites.untilVerified({ widgets: uploaded, gadgets: 0 })
  const retried = await databases
    .tracking('widget_registry')
    .whereNot({ retry_count: 0 })
    .orWhereNot({ verification_retry_count: 0 })
  expect(retried).toEqual([])
  expect(requests.answers.filter(({ status }) => status >= 400)).toEqual([])
  for (const { output } of [primary, secondary])
    expect(output).not.toMatch(/SECRET_UNDECRYPTABLE|UNAUTHORIZED|PRIMARY_REFUSED|TOKEN_|INVALID_RESPONSE/)
})
