import { beforeEach, describe, expect, it } from 'vitest'
import { Ledger } from '../ledger.ts'
import { judgeStale } from './stale.ts'

const DONE = { state: 2, verification: 2, leaves: false }
type Row = typeof DONE & { key: string | null }
let ledger: Ledger
let rows: Map<string, Row[]>

beforeEach(() => {
  ledger = new Ledger()
  const version = (key: string) => ({ key, sha256: key, bytes: 1 })
  for (const id of ['1', '2', '3']) ledger.add({ kind: 'published', type: 'widgets', id, version: version(id) })
  ledger.add({ kind: 'replaced', type: 'widgets', id: '2', version: version('new') })
  ledger.add({ kind: 'deleted', type: 'widgets', id: '3' })
  rows = new Map([
    ['widgets/1', [{ ...DONE, key: '1' }]],
    ['widgets/2', [{ ...DONE, key: 'new' }]],
  ])
})

describe('after the passes of reconciliation', () => {
  it('all is known that is still to be done', () => {
    expect(judgeStale(ledger, rows)).toEqual([])
    rows.set('widgets/2', [{ ...DONE, state: 0, key: '2' }])
    rows.set('widgets/3', [{ ...DONE, leaves: true, key: '3' }])
    expect(judgeStale(ledger, rows)).toEqual([])
  })

  it.each<readonly [string, string, Row[], string]>([
    ['a creation that nobody has heard of', 'widgets/1', [], 'widgets/1 has no registry row'],
    [
      'a change that nobody has heard of',
      'widgets/2',
      [{ ...DONE, key: '2' }],
      'widgets/2 is called verified, with 2; the host has new',
    ],
    [
      'a deletion that nobody has heard of',
      'widgets/3',
      [{ ...DONE, key: '3' }],
      'widgets/3 is deleted, and nothing removes it here',
    ],
    [
      'a deletion that there was none of',
      'widgets/1',
      [{ ...DONE, leaves: true, key: '1' }],
      'widgets/1 is there, and is to be removed here',
    ],
  ])('%s is a violation', (_, name, some, violation) => {
    rows.set(name, some)
    expect(judgeStale(ledger, rows)).toEqual([violation])
  })

  it('nothing is said of what nobody knows of', () => {
    ledger.add({ kind: 'unanswered', type: 'widgets', id: '1', reason: 'Connection terminated' })
    rows.delete('widgets/1')
    expect(judgeStale(ledger, rows)).toEqual([])
  })
})
