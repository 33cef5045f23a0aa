import { describe, expect, it } from 'vitest'
import type { Fault } from './faults/fault.ts'
import { Ledger } from './ledger.ts'
import { resultOf, tableOf } from './result.ts'
import { type Phase, type Plan, runFaults } from './run.ts'
import { Seeded } from './seeded.ts'
import type { World } from './world.ts'
import { Writes } from './writes.ts'

const HOUR_MS = 3_600_000

/** All is well in it. */
function calmWorld() {
  const ledger = new Ledger()
  const orders: string[] = []
  const skipped: string[] = []
  const figures: Record<string, number> = {}
  const world = {
    ledger,
    say: () => undefined,
    skipped,
    skip: (what: string, why: string) => void skipped.push(`${what}: ${why}`),
    figure: (name: string, value: number) => void Object.assign(figures, { [name]: value }),
    takeFigures: () => figures,
    history: { note: () => undefined },
    front: { order: ({ type }: { type: string }) => void orders.push(type) },
    host: { writes: new Writes(), resolve: async () => undefined },
    settled: async (): Promise<string | null> => null,
    scene: async () => ({
      ledger,
      primary: { blobsDir: '', main: async () => [] },
      secondaries: [],
      processes: [],
      torn: [],
      transfers: { capacity: 10, mostOpen: 0 },
      recorded: new Map(),
    }),
  }
  return { world: world as unknown as World, orders, writes: world.host.writes }
}

const faultOf = (name: string, run: Fault['run'], more: Partial<Fault> = {}): Fault => ({
  name,
  title: name,
  full: {},
  least: {},
  run,
  ...more,
})
const refuse = ({ host }: World) =>
  void host.writes.refused.push({ at: new Date(0), what: 'widgets/1', reason: 'it is read-only' })

/** Each fault once, in this order. */
function phasesOf(world: World, ...faults: readonly Fault[]): Promise<Phase[]> {
  return phasesWith(world, { allowSkipped: false }, ...faults)
}

async function phasesWith(
  world: World,
  { allowSkipped }: Pick<Plan, 'allowSkipped'>,
  ...faults: readonly Fault[]
): Promise<Phase[]> {
  const phases: Phase[] = []
  for (const fault of faults) {
    const plan = { faults: [fault], minutes: 1 / HOUR_MS, sizes: {}, chance: new Seeded(1), allowSkipped }
    await runFaults(world, plan, new AbortController().signal, phases)
  }
  return phases
}

const said = (phases: readonly Phase[]) =>
  phases.flatMap(({ violations }) => violations.map(({ check, fault, message }) => `${fault}, ${check}: ${message}`))

describe('a run of faults', () => {
  it('finds nothing where all is well', async () => {
    const { world, orders } = calmWorld()
    expect(
      said(
        await phasesOf(
          world,
          faultOf('nothing', async () => []),
        ),
      ),
    ).toEqual([])
    expect(orders).toEqual(['begin'])
  })

  it('goes on after a fault that fails, and calls that a violation', async () => {
    const { world } = calmWorld()
    const broken = faultOf('broken', async () => {
      throw new Error('no such table')
    })
    const phases = await phasesOf(
      world,
      broken,
      faultOf('next', async () => ['it found something']),
    )
    expect(said(phases)).toEqual([
      'broken, broken: the fault could not go on: no such table',
      'next, next: it found something',
    ])
  })

  it('goes on where nothing can be looked at, and calls that a violation', async () => {
    const { world } = calmWorld()
    world.scene = async () => {
      throw new Error('the disk gives nothing')
    }
    const [first] = await phasesOf(
      world,
      faultOf('nothing', async () => []),
    )
    expect(first && said([first])).toEqual(['nothing, scene: it could not go on: the disk gives nothing'])
  })

  it('finds what was refused to the host, but not where the fault judges that by itself', async () => {
    const { world } = calmWorld()
    const refusing = async () => {
      refuse(world)
      return []
    }
    const phases = await phasesOf(world, faultOf('free', refusing, { mayRefuse: true }), faultOf('strict', refusing))
    expect(said(phases)).toEqual([
      'strict, refused: the host could not write, once, first widgets/1 at 00:00:00, while its database was well: it is read-only',
    ])
    expect(phases[0]?.written).toMatchObject({ acknowledged: 0, refused: 1 })
  })

  it('finds a load that was too small, but not where the fault judges that by itself', async () => {
    const { world, writes } = calmWorld()
    const slow = async () => {
      writes.loads.push({ fills: false, asked: 50, acknowledged: 300, seconds: 10 })
      return []
    }
    const phases = await phasesOf(world, faultOf('free', slow, { mayRefuse: true }), faultOf('strict', slow))
    expect(said(phases)).toEqual([
      'strict, load: the load was too small for the check to mean anything: 30.0 of 50 blobs a second were written for 10 s',
    ])
  })

  it('tells with each phase what its fault has measured', async () => {
    const { world } = calmWorld()
    const measures = faultOf('measures', async ({ figure }) => {
      figure('idle', 2.5)
      return []
    })
    expect(await phasesOf(world, measures)).toMatchObject([
      { fault: 'measures', figures: { idle: 2.5 }, skipped: null },
    ])
  })

  describe('on a machine that does not allow for all of them', () => {
    const never = async () => {
      throw new Error('it is not to run')
    }
    const noMounts = faultOf('whole', never, { impossible: async () => 'not root' })
    const inPart = faultOf('part', async ({ skip }) => {
      skip('part: slow', 'no strace')
      return []
    })
    const possible = faultOf('possible', async () => [], { impossible: async () => null })

    it('calls it a violation that one was skipped, whole or in part', async () => {
      const { world } = calmWorld()
      const phases = await phasesOf(world, noMounts, inPart, possible)
      expect(said(phases)).toEqual([
        'whole, skipped: nothing of it was done: not root',
        'part, skipped: this was not done: part: slow: no strace',
      ])
      expect(phases.map(({ skipped }) => skipped)).toEqual(['not root', null, null])
    })

    it('only tells of it where that is allowed', async () => {
      const { world } = calmWorld()
      const phases = await phasesWith(world, { allowSkipped: true }, noMounts, inPart, possible)
      expect(said(phases)).toEqual([])
      expect(world.skipped).toEqual(['whole: not root', 'part: slow: no strace'])
    })

    it('counts what was skipped whole among the phases once, however long the run, and not among the faults', async () => {
      const { world } = calmWorld()
      const phases: Phase[] = []
      const plan = { faults: [noMounts], minutes: 60, sizes: {}, chance: new Seeded(1), allowSkipped: true }
      await runFaults(world, plan, new AbortController().signal, phases)
      phases.push(...(await phasesWith(world, plan, inPart)))
      const told = { ...world, replaced: [], slowedBy: null, network: { how: 'proxies' } } as const
      const result = resultOf({ seed: 1, minutes: 60 }, told, phases)
      expect(result).toMatchObject({ faults: 1, phases: [{ fault: 'whole' }, { fault: 'part' }], violations: 0 })
      expect(tableOf(phases)).toMatch(/^whole +SKIPPED +0 violations {2}not root\npart +0 s /)
    })
  })
})
