import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createGeo } from '../../lib/index.ts'
import { decryptSecret } from '../../lib/secret.ts'
import { listSites } from '../../lib/site-table.ts'
import type { ForkedSite } from '../support/forked-site.ts'
import { PRIMARY, startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const TIMEOUT_MS = 60_000
const NEW = randomBytes(32).toString('hex')

let sites: TwoSites
beforeAll(async () => {
  sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
})
afterAll(() => sites?.stop())

it('All sites get another encryptionKey while files arrive, and no transfer fails for it', {
  timeout: 300_000,
}, async () => {
  const { primary, secondary, databases, encryptionKey: OLD } = sites
  let uploaded = 0
  let over = false
  const uploading = (async () => {
    while (!over) {
      try {
        await sites.upload('widgets', `${uploaded}.txt`, randomBytes(2000))
        uploaded += 1
      } catch (reason) {
        // The only process of the primary is being started anew.
        if (reason instanceof Error && /was answered with/.test(reason.message)) throw reason
      }
      await pause(20)
    }
  })()
  // What ends it early is told in the end.
  uploading.catch(() => undefined)

  const verified = async () =>
    Number(
      (await databases.tracking('widget_registry').where({ state: 2, verification_state: 2 }).count())[0]?.['count'],
    )
  /** Files go on to arrive as things are now. */
  const goesOn = async () => {
    const before = Math.max(uploaded, await verified())
    await until(
      async () => (await verified()) > before + 5,
      TIMEOUT_MS,
      () => `more files: ${secondary.output.slice(-3000)}`,
    )
  }
  const restart = async (site: ForkedSite, ...keys: string[]) => {
    await site.stop()
    await site.start({ ENCRYPTION_KEY: keys.join(',') })
    await goesOn()
  }

  await goesOn()
  await restart(secondary, OLD, NEW)
  await restart(primary, OLD, NEW)
  await restart(primary, NEW, OLD)
  const geo = createGeo({
    siteName: PRIMARY,
    mainDb: databases.main,
    replicables: [],
    encryptionKey: [NEW, OLD],
    work: false,
  })
  expect(await geo.sites.reencrypt().finally(() => geo.stop())).toBe(2)
  await databases.caughtUp()
  await goesOn()
  await restart(secondary, NEW)
  await restart(primary, NEW)

  over = true
  await uploading
  // One whose answer was lost has its row too.
  const [{ count }] = (await databases.main('widgets').whereNotNull('file_path').count()) as [{ count: string }]
  await sites.untilVerified({ widgets: Number(count), gadgets: 0 })
  const registry = await databases
    .tracking('widget_registry')
    .whereNot({ retry_count: 0 })
    .orWhereNot({ verification_retry_count: 0 })
  expect(registry).toEqual([])
  for (const { output } of [primary, secondary])
    expect(output).not.toMatch(/SECRET_UNDECRYPTABLE|UNAUTHORIZED|PRIMARY_REFUSED|TOKEN_/)
  for (const { secret, accessKey } of await listSites(databases.main)) {
    expect(() => decryptSecret(secret, Buffer.from(OLD, 'hex'), accessKey)).toThrow('Error decrypting')
  }
})
