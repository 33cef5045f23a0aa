import { describe, expect, it } from 'vitest'
import { Alarms } from './alarms.ts'

const DUE = new Set(['PRIMARY_UNREACHABLE', 'REPLICATION_NOT_WORKING'])

function looked(...looks: readonly (readonly string[])[]): Alarms {
  const alarms = new Alarms()
  for (const codes of looks) alarms.note(codes)
  return alarms
}

describe('the alarms of an outage', () => {
  it('are as they should be where one comes and goes, whatever joins it', () => {
    const alarms = looked([], ['PRIMARY_UNREACHABLE'], ['REPLICATION_NOT_WORKING', 'PRIMARY_UNREACHABLE'], [])
    expect(alarms.judge(DUE)).toEqual([])
    expect(alarms.text).toBe(
      '0 s healthy, 0 s PRIMARY_UNREACHABLE, 0 s PRIMARY_UNREACHABLE+REPLICATION_NOT_WORKING, 0 s healthy',
    )
  })

  it('are missed where none comes, or another one', () => {
    const none = 'has given 0 alarms of PRIMARY_UNREACHABLE or REPLICATION_NOT_WORKING, and not one'
    expect(looked([], []).judge(DUE)).toEqual([none])
    expect(looked([], ['JOB_FAILING'], []).judge(DUE)).toEqual([none])
    expect(looked([], []).judge(null)).toEqual([])
  })

  it('are too many where one comes again, also under another code', () => {
    expect(looked(['PRIMARY_UNREACHABLE'], [], ['REPLICATION_NOT_WORKING'], []).judge(DUE)).toEqual([
      'has given 2 alarms of PRIMARY_UNREACHABLE or REPLICATION_NOT_WORKING, and not one',
    ])
    expect(looked(['JOB_FAILING'], [], ['JOB_FAILING'], []).judge(null)).toEqual([
      'says JOB_FAILING 2 times, well in between',
    ])
  })

  it('are none where only a hint is given, but some must not be given at all', () => {
    const alarms = looked([])
    alarms.note([], ['CURSOR_HELD', 'FALLING_BEHIND'])
    expect(alarms.judge(null)).toEqual([])
    expect(alarms.judge(null, ['FALLING_BEHIND'])).toEqual(['says FALLING_BEHIND, which must not be said now'])
    expect(looked(['FALLING_BEHIND'], []).judge(null, ['FALLING_BEHIND'])).toHaveLength(1)
    expect(looked(['PRIMARY_UNREACHABLE'], []).judge(DUE, ['FALLING_BEHIND'])).toEqual([])
  })

  it('are told of where one does not end', () => {
    expect(looked([], ['PRIMARY_UNREACHABLE']).judge(DUE)).toEqual(['still says PRIMARY_UNREACHABLE'])
  })
})
