import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { hasEnded, isOver, parseStat, thisProcess } from '../lib/process-identity.ts'
import { type OtherProcess, startOther, startUnattended } from './support/other-process.ts'
import { until } from './support/until.ts'

const others: OtherProcess[] = []
afterEach(() => Promise.all(others.splice(0).map((other) => other.kill())))

async function kept(starting: Promise<OtherProcess>): Promise<OtherProcess> {
  const other = await starting
  others.push(other)
  return other
}

describe.runIf(process.platform === 'linux')('A process', () => {
  it('is of the same host as others beside it, under a number and a start of its own', async () => {
    const own = thisProcess()
    const { identity } = await kept(startOther())
    expect(own?.pid).toBe(process.pid)
    expect(identity.host).toBe(own?.host)
    expect(identity.pid).not.toBe(own?.pid)
    expect(BigInt(identity.started)).toBeGreaterThan(BigInt(own?.started ?? Number.NaN))
  })

  it('has ended once it is gone, and not before', async () => {
    const { identity, kill } = await kept(startOther())
    expect(await hasEnded(identity)).toBe(false)
    await kill()
    expect(await hasEnded(identity)).toBe(true)
  })

  it('has ended where its number was given to another', async () => {
    const { identity } = await kept(startOther())
    const earlier = { ...identity, started: String(BigInt(identity.started) - 1n) }
    expect(await hasEnded(earlier)).toBe(true)
  })

  it('has ended also while its parent has not asked what became of it', async () => {
    const { identity } = await kept(startUnattended())
    expect(await hasEnded(identity)).toBe(false)
    process.kill(identity.pid, 'SIGKILL')
    await until(() => hasEnded(identity))
    expect(await readFile(`/proc/${identity.pid}/stat`, 'utf8')).toContain(') Z ')
  })
})

describe('What is said of a process', () => {
  const stat = (state: string, threads: number) =>
    parseStat(`4242 (a) R (b) ${state} 1 4242 4242 0 -1 4194560 9 8 7 6 5 4 3 2 20 0 ${threads} 0 123456 1000 22 1844`)

  it('is read whatever its name', () => {
    expect(stat('S', 12)).toEqual({ state: 'S', threads: 12, started: '123456' })
  })

  it.each([
    ['lives', stat('S', 12), '123456', false],
    ['was killed, with a thread that is still in a call', stat('Z', 2), '123456', false],
    ['was killed, and its parent has not asked yet', stat('Z', 1), '123456', true],
    ['is another one', stat('S', 12), '123455', true],
  ])('tells whether it is over: one that %s', (_, said, started, over) => {
    expect(isOver(said, started)).toBe(over)
  })
})
