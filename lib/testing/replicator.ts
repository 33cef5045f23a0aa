import assert from 'node:assert/strict'
import { EVENT_NAMES } from '../event/event-log.ts'
import { countRegistry } from '../registry/counts.ts'
import { countPrimary } from '../verification/counts.ts'
import type { TestRunner } from './runner.ts'
import type { Subject } from './subject.ts'

/*
 * GB.M.2. Left out:
 *
 * | assertion | why |
 * |---|---|
 * | enqueue_sync enqueues (name, sync event, payload) | there is no queue of jobs: the registry row itself is claimed, see 'a Geo framework registry' |
 * | correlation_id in the payload | it ties jobs to the request that enqueued them; an event here is a row of the request's own transaction |
 */

/** The suite 'a replicator'. */
export function aReplicator({ describe, it, beforeEach }: TestRunner, { bench }: Subject): void {
  describe('a replicator', () => {
    beforeEach(() => bench().reset())

    it('supports the events created and deleted', async () => {
      for (const name of ['created', 'deleted'] as const) assert.ok(EVENT_NAMES.includes(name))
    })

    it('primary_total_count is the number of records with a file', async () => {
      const { main, primary, make } = bench()
      await make.row()
      await make.row()
      await make.row({ withFile: false })
      assert.equal((await countPrimary(main, primary.type, { enabled: true })).total, 2)
    })

    it('registry_count, synced_count and failed_count are those of the registry', async () => {
      const { tracking, secondary, make } = bench()
      await make.registry({ sync: 'synced' })
      await make.registry()
      await make.registry({ sync: 'failed' })
      const { registry, synced, failed } = await countRegistry(tracking, secondary.type, { enabled: true })
      assert.deepEqual([registry, synced, failed], [3, 1, 1])
    })
  })
}
