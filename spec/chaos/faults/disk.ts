import type { Site } from '../site.ts'
import { straceImpossible } from '../strace.ts'
import type { Fault } from './fault.ts'
import { HostRoute } from './host-route.ts'
import { ofPrimary, PRIMARY_MODES } from './primary-disk.ts'
import { type Numbers, ofSecondary, SECONDARY_MODES } from './secondary-disk.ts'
import { unreadable } from './unreadable.ts'

const SETTLED_WITHIN_MS = 120_000

const named = (modes: object) => Object.keys(modes).join(', ')

export const disk: Fault<Numbers> = {
  name: 'disk',
  title: `the disk of a secondary is ${named(SECONDARY_MODES)}, that of the primary ${named(PRIMARY_MODES)}, and files of each cannot be read, while blobs arrive`,
  full: { rounds: 1, holdSeconds: 30, perSecond: 50 },
  least: { rounds: 1, holdSeconds: 12, perSecond: 10 },
  async impossible({ mounts }) {
    const why = await mounts.impossible()
    return why === null ? null : `no file system can be mounted here: ${why}`
  },
  async run(world, size, chance) {
    const noTraces = await straceImpossible()
    if (noTraces !== null)
      world.skip('disk: ioError, slow, files that cannot be read', `strace cannot do it here: ${noTraces}`)
    const possible = (modes: Readonly<Record<string, { readonly traced: boolean }>>) =>
      Object.keys(modes).filter((name) => noTraces === null || !modes[name]?.traced)
    const left = await world.settled(SETTLED_WITHIN_MS)
    if (left !== null) return [`before it ${left}`]
    const routes = new Map<Site, HostRoute>()
    const routeOf = (site: Site) => {
      const route = routes.get(site)
      if (!route) throw new Error(`Nobody asks the host at ${site.name}`)
      return route
    }
    const violations: string[] = []
    try {
      // One after the other: it is to be idle.
      for (const site of world.sites) routes.set(site, await HostRoute.open(site))
      for (const site of world.secondaries) {
        const modes = possible(SECONDARY_MODES)
        violations.push(...(await ofSecondary(world, site, routeOf(site), modes, size, chance.stream(site.name))))
      }
      const [modes, route] = [possible(PRIMARY_MODES), routeOf(world.primary)]
      violations.push(...(await ofPrimary(world, route, modes, size.holdSeconds, chance.stream('primary'))))
      if (noTraces === null) violations.push(...(await unreadable(world, routeOf, size, chance.stream('unreadable'))))
    } finally {
      for (const route of routes.values()) await route.close()
    }
    return violations
  },
}
