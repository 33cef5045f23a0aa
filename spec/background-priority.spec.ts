import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BACKGROUND_NICE, standBack } from '../lib/background-priority.ts'
import { TransferThreads } from '../lib/transfer/threads.ts'
import { ChecksumPool } from '../lib/verification/checksum.ts'
import { niceValues } from './support/nice-values.ts'

const standingBack = async () => (await niceValues(process.pid)).filter((nice) => nice === BACKGROUND_NICE).length

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'geo-priority-'))
  await writeFile(join(root, 'file'), 'bytes')
})
afterEach(() => rm(root, { recursive: true, force: true }))

describe.runIf(process.platform === 'linux')('Threads of ours let the host go first:', () => {
  it('those that hash', async () => {
    const before = await standingBack()
    const pool = new ChecksumPool(1)
    try {
      expect(await pool.digestOf(root, 'file', 'xxh64')).not.toBeNull()
      expect((await standingBack()) - before).toBe(1)
      expect((await niceValues(process.pid))[0]).toBe(0)
    } finally {
      await pool.close()
    }
  })

  it('but not the main thread, whatever it loads', async () => {
    await import('../lib/verification/checksum-thread.ts')
    await import('../lib/transfer/transfer-thread.ts')
    standBack()
    expect((await niceValues(process.pid))[0]).toBe(0)
  })

  it('those that move bytes', async () => {
    const before = await standingBack()
    const threads = new TransferThreads(1)
    try {
      await threads.pack([{ id: '1', root, key: 'file' }], 0)
      expect((await standingBack()) - before).toBe(1)
    } finally {
      await threads.close()
    }
  })
})

describe.runIf(existsSync('/proc/self/autogroup'))('A process of ours that lets all others go first', () => {
  it('does so as a session too, where it is one of its own', async () => {
    expect(await niceOfSession({ detached: true })).toBe(BACKGROUND_NICE)
  })

  it('leaves a session alone that others belong to', async () => {
    const [, before] = /nice (-?\d+)/.exec(readFileSync('/proc/self/autogroup', 'utf8')) ?? []
    expect(await niceOfSession({ detached: false })).toBe(Number(before))
  })
})

async function niceOfSession({ detached }: { detached: boolean }): Promise<number> {
  const module = new URL('../lib/background-priority.ts', import.meta.url).href
  const program = `import { readFileSync } from 'node:fs'
    const { standBackAltogether } = await import('${module}')
    standBackAltogether()
    console.log(readFileSync('/proc/self/autogroup', 'utf8'))`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    detached,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return Number(/nice (-?\d+)/.exec(await text(child.stdout))?.[1])
}
