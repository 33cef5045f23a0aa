import type { Assembly } from '../assembly.ts'
import { heartbeatOf } from '../databases.ts'
import type { FeaturesLike } from '../feature.ts'
import type { GeoSettings } from '../options.ts'
import { whileRenewing } from '../renewal.ts'

const LOOK_EVERY_MS = 250

/** The same site with the flags of all other types off, so that nothing else is worked. */
export function withOnly(settings: GeoSettings, names: readonly string[] | null): GeoSettings {
  if (names === null) return settings
  const { features, replicables } = settings
  const flags = new Set(replicables.filter(({ name }) => names.includes(name)).map((one) => one.names.flag))
  const released = (fallback: boolean | (() => boolean) | undefined) =>
    typeof fallback === 'function' ? fallback() : (fallback ?? false)
  const narrowed: FeaturesLike = {
    isEnabled: (flag, context, fallback) =>
      flags.has(flag) && (features ? features.isEnabled(flag, context, fallback) : released(fallback)),
  }
  return { ...settings, features: narrowed }
}

/**
 * Works what is due now in this process, under the capacity that the site has left beside its other processes, until nothing
 * is or the signal aborts. What others work meanwhile is waited for only where it is due again.
 */
export async function workDue(
  assembly: Assembly,
  kind: 'sync' | 'verify' | 'hash',
  signal: AbortSignal,
): Promise<void> {
  const { databases, leases, settings, sites, jobs } = assembly
  const dispatcher = assembly.dispatchers[kind]
  await whileRenewing(leases, heartbeatOf(databases, sites.role), settings, async () => {
    let wake: () => void = () => undefined
    for (;;) {
      const woken = new AbortController()
      wake = () => woken.abort()
      await dispatcher.fill(() => wake())
      if (signal.aborted || (dispatcher.idle && !(await assembly.sources[kind].due()))) break
      await settings.clock.sleep(LOOK_EVERY_MS, AbortSignal.any([signal, woken.signal]))
    }
    if (!signal.aborted) await dispatcher.settled()
  })
  await jobs.find(({ name }) => name === 'throughput')?.run(signal)
}
