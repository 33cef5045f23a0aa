import { describe, expect, it } from 'vitest'
import { type Attempt, early, stateOf } from './attempts.ts'
import type { Retry } from './retries.ts'

const NAME = 'paris: widgets/1'
const attempt = (lateMs: number, more: Partial<Attempt> = {}): Attempt => ({
  name: NAME,
  kind: 'transfer',
  lateMs,
  ...more,
})
const waits = (due: Partial<Retry>) =>
  new Map([[NAME, { record: 'widgets/1', text: '1', dueInMs: null, hashDueInMs: null, ...due }]])

describe('what is tried again', () => {
  it('is early where it began before its time, whatever waited for it', () => {
    expect(early([attempt(0), attempt(4000), attempt(-50)])).toEqual([])
    expect(early([attempt(-1500), attempt(-200, { kind: 'verification' })])).toEqual([
      `the transfer of ${NAME} was tried 1500 ms too early`,
      `the verification of ${NAME} was tried 200 ms too early`,
    ])
  })

  it('is late from its time on until it begins', () => {
    expect(stateOf(NAME, 'transfer', waits({ dueInMs: 2000 }), [])).toEqual({ lateMs: -2000, isOver: false })
    expect(stateOf(NAME, 'transfer', waits({ dueInMs: -2000 }), [])).toEqual({ lateMs: 2000, isOver: false })
    expect(stateOf(NAME, 'verification', waits({ hashDueInMs: -300 }), [])).toEqual({ lateMs: 300, isOver: false })
  })

  it('was as late as its first attempt, also where it counts that still', () => {
    const attempts = [attempt(700), attempt(0)]
    expect(stateOf(NAME, 'transfer', waits({ dueInMs: -9000 }), attempts)).toEqual({ lateMs: 700, isOver: true })
    expect(stateOf(NAME, 'transfer', new Map(), attempts)).toEqual({ lateMs: 700, isOver: true })
  })

  it('is not late where it waits no more, and was not tried', () => {
    const over = { lateMs: Number.NEGATIVE_INFINITY, isOver: true }
    expect(stateOf(NAME, 'transfer', new Map(), [])).toEqual(over)
    expect(stateOf(NAME, 'transfer', waits({}), [attempt(9000, { name: 'paris: widgets/2' })])).toEqual(over)
  })
})
