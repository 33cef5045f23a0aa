import { straceImpossible } from '../strace.ts'
import type { Fault } from './fault.ts'
import { ofPrimary, PRIMARY_MODES } from './primary-disk.ts'
import { type Numbers, ofSecondary, SECONDARY_MODES } from './secondary-disk.ts'
import { unreadable } from './unreadable.ts'

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
    const violations: string[] = []
    for (const site of world.secondaries)
      violations.push(...(await ofSecondary(world, site, possible(SECONDARY_MODES), size, chance.stream(site.name))))
    violations.push(...(await ofPrimary(world, possible(PRIMARY_MODES), size.holdSeconds, chance.stream('primary'))))
    if (noTraces === null) violations.push(...(await unreadable(world, size, chance.stream('unreadable'))))
    return violations
  },
}
