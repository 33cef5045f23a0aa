import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
