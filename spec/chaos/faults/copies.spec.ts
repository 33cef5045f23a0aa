import { beforeEach, describe, expect, it } from 'vitest'
import { Ledger } from '../ledger.ts'
import { type Copy, fetchedAgain } from './copies.ts'

const version = (key: string) => ({ key, sha256: key, bytes: 1 })
const copiesOf = (...copies: readonly (readonly [id: string, key: string, fetchedAt: string])[]) =>
  new Map(copies.map(([id, key, fetchedAt]): [string, Copy] => [`widgets/${id}`, { key, fetchedAt }]))

let ledger: Ledger

beforeEach(() => {
  ledger = new Ledger()
  for (const id of ['1', '2', '3']) ledger.add({ kind: 'published', type: 'widgets', id, version: version(id) })
})

describe('copies that were fetched again', () => {
  const before = copiesOf(['1', '1', '12:00'], ['2', '2', '12:00'])

  it('are those with another moment, and those that are none any more', () => {
    expect([...fetchedAgain(ledger, before, copiesOf(['1', '1', '12:01'])).values()]).toEqual([
      'widgets/1 was whole, and was fetched again',
      'widgets/2 was whole, and is not synced any more',
    ])
  })

  it('are not those that were fetched once, for the first time or for the last', () => {
    expect(
      fetchedAgain(
        ledger,
        before,
        copiesOf(
          ...([
            ['1', '1', '12:00'],
            ['2', '2', '12:00'],
            ['3', '3', '12:01'],
          ] as const),
        ),
      ).size,
    ).toBe(0)
  })

  it('are not those that the host has deleted, or given another file', () => {
    ledger.add({ kind: 'replaced', type: 'widgets', id: '1', version: version('new') })
    ledger.add({ kind: 'deleted', type: 'widgets', id: '2' })
    expect(fetchedAgain(ledger, before, copiesOf(['1', 'new', '12:01'])).size).toBe(0)
  })
})
