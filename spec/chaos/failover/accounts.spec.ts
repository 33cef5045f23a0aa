import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Ledger } from '../ledger.ts'
import { seededBytes, sha256Of } from '../seeded.ts'
import { Acknowledged, judgeLosses, judgePlanned, judgeUnarrived } from './accounts.ts'

const versionOf = (key: string) => ({ key, sha256: sha256Of(seededBytes(key, 100)), bytes: 100 })
const REPLAYED_AT = '2026-01-01T12:00:00.000Z'

let folder: string
let ledger: Ledger
let acknowledged: Acknowledged
/** Of the rows that are there after the promotion. */
let keys: Map<string, string>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-chaos-accounts-'))
  await mkdir(join(folder, 'widgets'))
  ledger = new Ledger()
  acknowledged = new Acknowledged()
  for (const id of ['1', '2', '3']) {
    const entry = { kind: 'published', type: 'widgets', id, version: versionOf(`widgets/${id}`) } as const
    ledger.add(entry)
    acknowledged.add(entry)
    await writeFile(join(folder, `widgets/${id}`), seededBytes(`widgets/${id}`, 100))
  }
  keys = new Map(['1', '2', '3'].map((id) => [`widgets/${id}`, `widgets/${id}`]))
})
afterEach(() => rm(folder, { recursive: true }))

const losses = (...said: readonly (readonly [id: string, finding: string])[]) =>
  judgeLosses(
    ledger,
    keys,
    folder,
    said.map(([id, finding]) => ({ type: 'widget', id, finding })),
  )

describe('what a promotion lists as lost', () => {
  it('is right where nothing is, and where exactly that is listed', async () => {
    expect(await losses()).toEqual({ violations: [], lost: [] })
    await rm(join(folder, 'widgets/1'))
    expect(await losses(['1', 'missing'])).toEqual({ violations: [], lost: ['widgets/1'] })
  })

  it('is wrong where a file is not there that is not listed', async () => {
    await rm(join(folder, 'widgets/1'))
    const { violations, lost } = await losses()
    expect(violations).toEqual(['widgets/1 (widgets/1) is lost, and the promotion does not list it'])
    expect(lost).toEqual(['widgets/1'])
    expect((await losses(['1', 'unproven'])).violations).toHaveLength(1)
  })

  it('is wrong where a file has other bytes that is not listed', async () => {
    await writeFile(join(folder, 'widgets/2'), seededBytes('other', 100))
    expect((await losses()).violations).toEqual(['widgets/2 (widgets/2) is lost, and the promotion does not list it'])
  })

  it('is wrong where a whole file is listed', async () => {
    const violation = 'widgets/3 (widgets/3) is there, and the promotion calls it lost'
    expect((await losses(['3', 'missing'])).violations).toEqual([violation])
    expect((await losses(['3', 'unproven'])).violations).toEqual([])
  })
})

/** As if all had been acknowledged an hour after the last replay, unless told otherwise. */
function unarrived(said: readonly string[], replayedAt: string | null = REPLAYED_AT): string[] {
  const records = said.map((id) => ({ type: 'widget', id, event: 'created' }))
  return judgeUnarrived(ledger, keys, acknowledged, records, replayedAt)
}

describe('what `geo demote` lists as not arrived', () => {
  it('is right where all has arrived, and where exactly that is listed', () => {
    expect(unarrived([])).toEqual([])
    keys.delete('widgets/1')
    expect(unarrived(['1'])).toEqual([])
  })

  it('is wrong where a row is not there that is not listed', () => {
    keys.delete('widgets/1')
    expect(unarrived([])).toEqual(['widgets/1 had not arrived, and `geo demote` does not list it'])
  })

  it('is wrong where a change or a deletion is not there that is not listed', () => {
    ledger.add({ kind: 'replaced', type: 'widgets', id: '1', version: versionOf('widgets/new') })
    ledger.add({ kind: 'deleted', type: 'widgets', id: '2' })
    expect(unarrived([])).toEqual([
      'widgets/1 had not arrived, and `geo demote` does not list it',
      'widgets/2 had not arrived, and `geo demote` does not list it',
    ])
    expect(unarrived(['1', '2'])).toEqual([])
  })

  it('is wrong where a row is listed that is there, but not one that was never known to be', () => {
    expect(unarrived(['1'])).toEqual(['widgets/1 had arrived, and `geo demote` lists it'])
    expect(unarrived(['77'])).toEqual([])
  })

  it('is wrong where something was acknowledged before the last replay, or nobody says when that was', () => {
    keys.delete('widgets/1')
    const at = new Date(Date.now() + 1000).toISOString()
    expect(unarrived(['1'], at)).toEqual([
      `widgets/1 had not arrived, and was acknowledged before the last replay, at ${at}`,
    ])
    expect(unarrived(['1'], null)).toHaveLength(1)
  })
})

it.each([
  [{ seconds: 30, sealed: true }, []],
  [{ seconds: 30.1, sealed: true }, ['a planned failover took 30.1 s']],
  [{ seconds: 1, sealed: false }, ['a planned promotion was not sealed']],
])('Of a planned failover of %o is said %j', (planned, violations) => {
  expect(judgePlanned(planned)).toEqual(violations)
})
