import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { startCuttingProxy } from './cutting-proxy.ts'
import { createPrimarySite } from './primary-site.ts'
import { seededNumbers, writeSeededFile } from './seeded-file.ts'
import { transferLine } from './transfer-line.ts'
import { transferTask } from './transfer-task.ts'

const CUTS = 20

export interface CutTransfer {
  readonly outcome: string
  readonly cuts: number
  /** Bytes on the wire towards the secondary per byte of the file. */
  readonly ratio: number
  readonly seconds: number
}

/** A file that passes from a real primary through a proxy that cuts the connection at 20 places drawn from the seed. */
export async function transferWithCuts(options: {
  bytes: number
  seed: number
  how: 'end' | 'reset'
}): Promise<CutTransfer> {
  const { bytes, seed, how } = options
  const site = await createPrimarySite()
  const root = await mkdtemp(join(tmpdir(), 'geo-cut-transfer-'))
  const threads = new TransferThreads(1)
  const proxy = await startCuttingProxy(site.port, seededNumbers(seed, CUTS, bytes), how)
  try {
    const expected = await writeSeededFile(join(site.root, 'large'), seed, bytes)
    const id = await site.addWidget('large')
    const line = {
      ...transferLine(),
      authorization: () => site.sign({ replicable_name: 'widget', replicable_id: id }),
    }
    const task = transferTask({
      url: `${proxy.url}api/v4/geo/retrieve/widget/${id}`,
      idleTimeoutMs: 10_000,
      root,
      durable: true,
      blobs: [{ id, key: 'large', expected }],
    })
    const startedAtMs = performance.now()
    const { outcomes, refusal } = await threads.receive('one', task, line)
    const [outcome] = outcomes
    return {
      outcome: outcome?.outcome ?? refusal?.message ?? 'nothing',
      cuts: proxy.cuts,
      ratio: proxy.sent / bytes,
      seconds: (performance.now() - startedAtMs) / 1000,
    }
  } finally {
    await proxy.close()
    await threads.close()
    await site.close()
    await rm(root, { recursive: true, force: true })
  }
}
