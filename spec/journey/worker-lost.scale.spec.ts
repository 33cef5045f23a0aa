import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { folderContents } from '../support/folder-contents.ts'
import { createManyWorkers, type ManyWorkers } from '../support/many-workers.ts'
import { until } from '../support/until.ts'
import type { WorkerProcess } from '../support/worker-processes.ts'

const WITHIN_MS = 30_000
const GIVE_UP_MS = 120_000

describe('Work of a process that is lost, in real time', () => {
  let site: ManyWorkers
  const survivors: WorkerProcess[] = []

  beforeAll(async () => {
    site = await createManyWorkers({ capacity: 2 })
  })
  afterAll(() => site?.close())

  const row = (id: string | undefined) =>
    site.sites.databases.tracking('widget_registry').where({ widget_id: id }).first()

  it('is taken up by another within 30 s after kill -9, with the real cause kept', async () => {
    const { tracking } = site.sites.databases
    const [first] = await site.start(1)
    site.proxy.hold()
    const { id } = await site.sites.upload('widgets', 'a.txt', 'bytes')
    await until(() => site.proxy.open === 1, WITHIN_MS)
    // As if it had failed before: that is the cause that people want to read.
    const cause = { last_sync_failure: 'the disk was full', error_code: 'STORAGE_FULL', retry_count: 3 }
    await tracking('widget_registry').where({ widget_id: id }).update(cause)
    survivors.push(...(await site.start(1)))

    first?.child.kill('SIGKILL')
    const killedAtMs = performance.now()
    site.proxy.release()
    const seen: Record<string, unknown>[] = []
    await until(async () => {
      const now = await row(id)
      if (now.state === SYNC_STATE.failed) seen.push(now)
      return now.state === SYNC_STATE.synced
    }, GIVE_UP_MS)
    const takenMs = performance.now() - killedAtMs
    console.log({ takenMs, seen: seen.length })
    expect(takenMs).toBeLessThan(WITHIN_MS)
    for (const failed of seen) expect(failed).toMatchObject({ ...cause, retry_count: 4, worker_losses: 1 })
  })

  it('is not marked by a process that was stopped for longer than its lease and comes back, and leaves nothing behind', async () => {
    const [stopped, other] = survivors
    site.proxy.hold()
    const { id } = await site.sites.upload('widgets', 'b.txt', 'more bytes')
    await until(() => site.proxy.open === 1, WITHIN_MS)
    stopped?.child.kill('SIGSTOP')
    survivors.push(...(await site.start(1)))
    expect(other).toBeUndefined()
    // What it asked for lies ready for it, in the buffers of its connection.
    site.proxy.release()
    const startedAtMs = performance.now()
    await until(async () => (await row(id))?.state === SYNC_STATE.synced, GIVE_UP_MS)
    console.log({ takenMs: performance.now() - startedAtMs })
    const before = await row(id)

    stopped?.child.kill('SIGCONT')
    await sleep(5000)
    expect(await row(id)).toMatchObject({ state: before.state, last_synced_at: before.last_synced_at })
    const { deliveries } = await site.outcome()
    expect(deliveries).toEqual({ rows: 2, mostOften: 1 })
    expect((await folderContents(site.sites.secondary.blobsDir)).filter((path) => path.includes('.geo-tmp'))).toEqual(
      [],
    )
    expect(site.proxy.askedFor.get(String(id))).toBe(2)
    stopped?.child.kill('SIGTERM')
    expect(await stopped?.ended).toEqual([0, null])
  })
})
