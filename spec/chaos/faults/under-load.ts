import type { Load } from '../host.ts'
import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'

/** Acts while the host writes at a steady rate, and says how many a second that came to; what became of it is judged by its writes. */
export async function underLoad<Result>(
  world: Pick<World, 'host' | 'say'>,
  load: Omit<Load, 'blobs' | 'signal'>,
  chance: Seeded,
  act: () => Promise<Result>,
): Promise<Result> {
  const over = new AbortController()
  const loading = world.host.load({ ...load, signal: over.signal }, chance)
  // It is waited for below, when what is done meanwhile has ended.
  loading.catch(() => undefined)
  try {
    return await act()
  } finally {
    over.abort()
    world.say(`${(await loading).toFixed(1)} of ${load.perSecond} blobs a second were written`)
  }
}
