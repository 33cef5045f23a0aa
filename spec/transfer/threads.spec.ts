import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { TransferThreads } from '../../lib/transfer/threads.ts'

const ITEMS = 100

it('Transfers that run at once are shared by the threads there may be, and one that runs alone makes no second', async () => {
  const root = await mkdtemp(join(tmpdir(), 'geo-threads-'))
  await writeFile(join(root, 'file'), 'bytes')
  const items = Array.from({ length: ITEMS }, (_, number) => ({ id: String(number), root, key: 'file' }))
  const threads = new TransferThreads(3)
  try {
    const first = await threads.pack(items, 0)
    expect(first.failures).toEqual([])
    expect(threads.load.threads).toBe(1)
    const packed = await Promise.all(Array.from({ length: 10 }, () => threads.pack(items, 0)))
    expect(packed.map(({ response }) => response.length)).toEqual(packed.map(() => first.response.length))
    expect(threads.load.threads).toBe(3)
  } finally {
    await threads.close()
    await rm(root, { recursive: true })
  }
})
