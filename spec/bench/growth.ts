import type { Replicable } from '../../lib/blob/replicable.ts'
import { lookEveryMs } from '../../lib/type-turns.ts'
import { backfillStates } from '../../lib/verification/maintain-states.ts'
import { type GrownSite, openGrownSite, type Size } from './grown-site.ts'
import { BATCH, emptyBacklog, grownWay } from './grown-way.ts'
import { idleCost } from './idle-cost.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { median } from './rounds.ts'
import { type RowBytes, rowBytes } from './row-bytes.ts'
import { combined, divided, type StatementCost, statementCost, sumOf } from './statement-cost.ts'

const ROWS = [1000, 10_000, 100_000, 1_000_000] as const
const TYPES = [1, 20, 100] as const
const ROWS_OF_ALL_TYPES = 100_000
/** What looks cost a blob depends on how many of them a process brings over meanwhile. */
const BLOBS_PER_S = 500
const REACH = 0.5
/** Measured with the others, and on no blob's way from insert to verified on a secondary with its state in a table of its own. */
const ASIDE = ['columnsClaim', 'columnsRecord', 'removeClaim', 'removed']

/** By step; of a blob on its way, of a look where nothing waits. */
type Costs = { readonly [step: string]: StatementCost }
type Measured = {
  readonly perBlob: Costs
  readonly perLook: Costs
  /** From insert to verified, with the looks of a process that brings over 500 blobs a second. */
  readonly whole: StatementCost
  /** A page of a thousand keys, of the passes that compare the host's rows with their states. */
  readonly perPage: StatementCost
  /** Of a process of the secondary that has nothing to do. */
  readonly idlePerS?: StatementCost
  readonly registryRow: RowBytes
  readonly stateRow: RowBytes
}

export const growth: Measurement = {
  title: 'what a blob costs the databases, step by step, at 1,000 to 1,000,000 rows and with 1 to 100 types',

  async measure(bench: Bench) {
    const atLeast = (count: number) => Math.max(ROWS[0], scaled(bench, count))
    const ofRows: Record<string, Measured> = {}
    const ofTypes: Record<string, Measured> = {}
    for (const rows of ROWS.map(atLeast)) {
      ofRows[`of${rows}`] = await measureAt(bench, { rows, types: 1, statistics: 'fresh', folders: 'own' })
    }
    const old = await measureAt(bench, { rows: atLeast(ROWS.at(-1) ?? 0), types: 1, statistics: 'old', folders: 'own' })
    for (const types of TYPES) {
      const size = { rows: atLeast(ROWS_OF_ALL_TYPES), types, statistics: 'fresh', folders: 'own' } as const
      ofTypes[`of${types}`] = await measureAt(bench, size, { watchesIdle: true })
    }
    // Not flat, and told so: hosts give types folders of their own.
    const inOneFolder = {
      rows: atLeast(ROWS_OF_ALL_TYPES),
      types: TYPES[2],
      statistics: 'fresh',
      folders: 'one',
    } as const
    const ofOneFolder = await measureAt(bench, inOneFolder)
    const [fewest, most] = endsOf(ofRows)
    // By the pages that each step touches: what the machine does besides makes no difference, and a step that reads all rows shows.
    const growthByRows = worstOf(fewest, most)
    const growthByOldStatistics = worstOf(fewest, old)
    // Asking about a type costs what planning costs, which touches no pages.
    const [one, hundred] = endsOf(ofTypes)
    const growthByTypes = Number((hundred.whole.ms / one.whole.ms).toFixed(3))
    const ratio = Number((1 / Math.max(growthByRows.times, growthByOldStatistics.times, growthByTypes)).toFixed(3))
    const figures = {
      growthByRows,
      growthByOldStatistics,
      growthByTypes,
      ofRows,
      ofOldStatistics: old,
      ofTypes,
      ofOneFolder,
    }
    const measured =
      `${ratio}: at most ${growthByRows.times} × the pages at 1,000 times the rows, ${growthByOldStatistics.times} × with old statistics, ` +
      `${growthByTypes} × the time with 100 types`
    return { ratio, reach: `≥ ${REACH} (flat)`, measured, reached: ratio >= REACH, figures }
  },
}

function endsOf(measured: Readonly<Record<string, Measured>>): [Measured, Measured] {
  const all = Object.values(measured)
  const [first, last] = [all.at(0), all.at(-1)]
  if (!first || !last) throw new Error('Nothing was measured')
  return [first, last]
}

/** The step whose pages have grown most. */
function worstOf(small: Measured, large: Measured): { step: string; times: number } {
  const after = { ...large.perBlob, ...large.perLook }
  const grown = Object.entries({ ...small.perBlob, ...small.perLook }).map(([step, { buffers }]) => ({
    step,
    times: Number(((after[step]?.buffers ?? Number.NaN) / buffers).toFixed(3)),
  }))
  return grown.reduce((worst, each) => (each.times > worst.times ? each : worst))
}

async function measureAt(bench: Bench, size: Size, { watchesIdle = false } = {}): Promise<Measured> {
  const site = await openGrownSite(size, await bench.folders.fresh('grown'))
  try {
    const { way, looks } = await grownWay(site)
    for (const [name, look] of Object.entries(looks)) requireFound(name, await look(), [site.busy])
    const perBlob = await costsOf(bench, site, way, BATCH)
    const { registryTable, stateTable } = site.busy.names
    const registryRow = await rowBytes(site.tracking, registryTable)
    const stateRow = await rowBytes(site.main, stateTable)
    await emptyBacklog(site)
    const inVain = Object.entries(looks).map(
      ([name, look]) => [name, async () => requireFound(name, await look(), [])] as const,
    )
    const perLook = await costsOf(bench, site, Object.fromEntries(inVain), 1)
    const blobsPerLook = (lookEveryMs(size.types) / 1000) * BLOBS_PER_S
    const onItsWay = Object.entries(perBlob).flatMap(([step, cost]) => (ASIDE.includes(step) ? [] : cost))
    const whole = sumOf([...onItsWay, divided(sumOf(Object.values(perLook)), blobsPerLook)])
    const { perPage = whole } = await costsOf(bench, site, { perPage: () => statesPage(site) }, 1)
    const told = { ...perBlob, ...perLook, whole, perPage }
    for (const [step, cost] of Object.entries(told)) {
      bench.say(`${Object.values(size).join(' ')} ${step}: ${JSON.stringify(cost)}`)
    }
    return {
      perBlob,
      perLook,
      whole,
      perPage,
      registryRow,
      stateRow,
      ...(watchesIdle && { idlePerS: await idleCost(site) }),
    }
  } finally {
    await site.destroy()
  }
}

/** From the middle of the table, where all is in step. */
async function statesPage({ main, busy }: GrownSite): Promise<void> {
  const { next, changed } = await backfillStates(main, busy, { after: '0' })
  if (changed > 0) throw new Error(`${changed} states were not in step after ${next?.after}`)
}

function requireFound(look: string, found: readonly Replicable[], expected: readonly Replicable[]): void {
  const names = (types: readonly Replicable[]) => types.map(({ name }) => name).join()
  if (names(found) !== names(expected)) throw new Error(`${look} found "${names(found)}", not "${names(expected)}"`)
}

/** The median of several batches, after one that warms up; each of the steps takes the batch where the one before has left it. */
async function costsOf(
  { rounds }: Bench,
  { main, standby, tracking }: GrownSite,
  steps: Readonly<Record<string, () => Promise<void>>>,
  by: number,
): Promise<Costs> {
  const costs = new Map<string, StatementCost[]>(Object.keys(steps).map((step) => [step, []]))
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, step] of Object.entries(steps)) {
      const cost = await statementCost([main, standby, tracking], step)
      if (round > 0) costs.get(name)?.push(cost)
    }
  }
  return Object.fromEntries([...costs].map(([name, all]) => [name, divided(medianOf(all), by)]))
}

function medianOf(costs: readonly StatementCost[]): StatementCost {
  return combined((of) => median(costs.map(of)))
}
