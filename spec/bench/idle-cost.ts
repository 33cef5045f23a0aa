import { setTimeout as sleep } from 'node:timers/promises'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { type GrownSite, SITE } from './grown-site.ts'
import { divided, type StatementCost, statementCost } from './statement-cost.ts'

// By then it has compared all keys once and counted all rows.
const SETTLING_S = 10
const WATCHED_S = 20

/** What one process of the secondary asks of its databases in a second in which nothing waits. */
export async function idleCost({ standby, tracking, types }: GrownSite): Promise<StatementCost> {
  const site = assemble(
    parseOptions({
      siteName: SITE,
      mainDb: standby,
      trackingDb: tracking,
      replicables: types,
      features: { isEnabled: () => true },
      authorize: () => true,
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      threads: 1,
      logger: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    }),
  )
  try {
    await site.start()
    await sleep(SETTLING_S * 1000)
    return divided(await statementCost([standby, tracking], () => sleep(WATCHED_S * 1000)), WATCHED_S)
  } finally {
    await site.stop()
  }
}
