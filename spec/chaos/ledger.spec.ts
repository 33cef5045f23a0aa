import { expect, it } from 'vitest'
import type { Entry } from './history.ts'
import { type KnownRecord, Ledger, nameOf } from './ledger.ts'
import { Seeded } from './seeded.ts'

const IDS = 20
const ENTRIES = 2000

const versionOf = (number: number) => ({ key: `widgets/${number}.bin`, sha256: String(number), bytes: 1 })

/** What the host may do to a record, and what becomes of it. */
function entryOf(chance: Seeded, ledger: Ledger, number: number): Entry {
  const id = String(chance.below(IDS))
  const known = ledger.records.find((record) => record.id === id)
  const version = versionOf(number)
  if (!known || chance.below(10) === 0) return { kind: 'published', type: 'widgets', id, version }
  return chance.of<Entry>([
    { kind: 'replaced', type: 'widgets', id, version },
    { kind: 'deleted', type: 'widgets', id },
    { kind: 'unanswered', type: 'widgets', id, reason: 'none' },
    { kind: 'found', type: 'widgets', id, key: null },
    { kind: 'found', type: 'widgets', id, key: known.versions.at(-1)?.key ?? null },
  ])
}

it('What is owed is what was acknowledged, is not deleted and is certain, whatever came before', () => {
  const chance = new Seeded('ledger')
  const ledger = new Ledger()
  for (let number = 0; number < ENTRIES; number += 1) {
    ledger.add(entryOf(chance, ledger, number))
    const owed = ledger.records.filter(({ isDeleted, isUncertain }) => !isDeleted && !isUncertain)
    expect(new Set(ledger.live())).toEqual(new Set(owed))
    expect(ledger.live()).toHaveLength(owed.length)
    expect(ledger.liveCount).toBe(owed.length)
    for (const record of ledger.records)
      expect(ledger.liveOf(nameOf(record.type, record.id))).toBe(owed.includes(record) ? record : null)
  }
})

it('One of those that are owed is chosen that is not busy, each of them now and then, and none where all are', () => {
  const chance = new Seeded('some')
  const ledger = new Ledger()
  expect(ledger.someLive(chance, new Set())).toBeNull()
  for (const id of ['1', '2', '3', '4'])
    ledger.add({ kind: 'published', type: 'widgets', id, version: versionOf(Number(id)) })
  ledger.add({ kind: 'deleted', type: 'widgets', id: '2' })
  const busy = new Set<KnownRecord>(ledger.live().filter(({ id }) => id === '3'))
  const chosen = new Set(Array.from({ length: 100 }, () => ledger.someLive(chance, busy)?.id))
  expect([...chosen].sort()).toEqual(['1', '4'])
  expect(ledger.someLive(chance, new Set(ledger.live()))).toBeNull()
})
