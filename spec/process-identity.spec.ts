import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { hasEnded, thisProcess } from '../lib/process-identity.ts'
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

  it('has not ended for certain while nobody has asked what became of it: a thread of it may still be in a call', async () => {
    const { identity } = await kept(startUnattended())
    process.kill(identity.pid, 'SIGKILL')
    // What has no memory any more has no command either.
    await until(async () => (await readFile(`/proc/${identity.pid}/cmdline`, 'utf8')) === '')
    expect(await hasEnded(identity)).toBe(false)
  })
})
