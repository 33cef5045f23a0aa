import assert from 'node:assert/strict'
import { wantedRows } from '../blob/scope.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import { wantedIds } from '../blob/source.ts'
import type { TestRunner } from './runner.ts'
import type { Subject } from './subject.ts'

/*
 * GB.M.3. Left out:
 *
 * | assertion | why |
 * |---|---|
 * | create invokes geo_handle_after_create | models have no callbacks here: the host calls `created` in its transaction, see 'a blob replicator' |
 * | replicables_for_current_secondary with object storage sync on or off | there is no object storage yet |
 */

const SELECTIONS: Readonly<Record<string, SelectiveSync | null>> = Object.freeze({
  nothing: null,
  namespaces: { type: 'namespaces', namespaceIds: ['no such owner'], shards: [] },
  shards: { type: 'shards', namespaceIds: [], shards: ['broken'] },
})

/** The suite 'a replicable model'. */
export function aReplicableModel(
  { describe, it, beforeEach }: TestRunner,
  { replicable, bench, selectOwner }: Subject,
): void {
  describe('a replicable model', () => {
    beforeEach(() => bench().reset())

    it('has a replicator', async () => {
      const { primary } = bench()
      const replicator = primary.geo.replicator(primary.type)
      for (const method of ['created', 'updated', 'deleted'] as const) {
        assert.equal(typeof replicator[method], 'function')
      }
    })

    it('has a title and a plural that are not empty', async () => {
      assert.match(replicable.names.className, /./)
      assert.match(replicable.names.plural, /./)
    })

    for (const [what, selection] of Object.entries(SELECTIONS)) {
      it(`replicables_for_current_secondary is a query where ${what} is selected`, async () => {
        const { main, primary, make } = bench()
        await make.row()
        assert.ok(Array.isArray(await wantedRows(main, primary.type, selection)))
      })
    }

    it('replicables_for_current_secondary are the records with a file where nothing is selected', async () => {
      const { main, primary, make } = bench()
      const [record, without] = [await make.row(), await make.row({ withFile: false })]
      assert.deepEqual(await wantedIds(main, primary.type, [record.id, without.id], null), [record.id])
    })

    if (selectOwner) {
      it('replicables_for_current_secondary are those of the owner that is selected', async () => {
        const { main, primary, make } = bench()
        const [own, other] = [await make.row({ owner: 'alpha' }), await make.row({ owner: 'beta' })]
        assert.deepEqual(await wantedIds(main, primary.type, [own.id, other.id], selectOwner('alpha')), [own.id])
      })
    }
  })
}
