import assert from 'node:assert/strict'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import type { Ask } from './ask.ts'
import type { MadeRow } from './factories.ts'
import { registryIdOf } from './four-registries.ts'
import type { TestRunner } from './runner.ts'
import type { Subject } from './subject.ts'

/*
 * GB.M.11, over HTTP. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | the arguments of the suite | all four follow from the declaration |
 * | verifiedAt and verificationRetryAt only where verification is enabled | a type is verified wherever it is replicated |
 * | dataManagementDetailsPath with the flag, and without a model id | always null here: the host has no such page |
 * | modelRecordId is a number | an ID: keys may be uuids and beyond 2³¹ |
 */

const FIELDS = `state retryCount lastSyncFailure retryAt lastSyncedAt createdAt verifiedAt verificationState
  verificationStartedAt verificationRetryAt verificationRetryCount verificationFailure verificationChecksum
  verificationChecksumMismatched checksumMismatch missingOnPrimary forceToRedownload dataManagementDetailsPath`

const CREATED_AT = '2024-02-29T10:00:00.123Z'
const SYNCED_AT = '2024-02-29T10:01:00.000Z'
const STARTED_AT = '2024-02-29T10:02:00.000Z'
const VERIFIED_AT = '2024-02-29T10:03:00.000Z'
const RETRY_AT = '2124-02-29T10:04:00.000Z'
const MISMATCHED = 'ab'.repeat(32)
const SHA256_BYTE = 2

/** What a registry has of which nothing is said. */
const BLANK = {
  state: 'PENDING',
  retryCount: 0,
  lastSyncFailure: null,
  retryAt: null,
  lastSyncedAt: null,
  createdAt: CREATED_AT,
  verifiedAt: null,
  verificationState: 'PENDING',
  verificationStartedAt: null,
  verificationRetryAt: null,
  verificationRetryCount: 0,
  verificationFailure: null,
  verificationChecksum: null,
  verificationChecksumMismatched: null,
  checksumMismatch: false,
  missingOnPrimary: null,
  forceToRedownload: null,
  dataManagementDetailsPath: null,
}

/** The suite 'gets registries for'. */
export function getsRegistries(
  { describe, it, beforeEach }: TestRunner,
  { bench, replicable }: Subject,
  ask: Ask,
): void {
  const { registryClass, registriesField, recordIdField } = replicable.names
  let pending: MadeRow
  let verified: MadeRow
  let failed: MadeRow

  async function get(fields: string, variables = {}, declared = '', filter = '') {
    const query = `query ${declared} { geoNode { registries: ${registriesField} ${filter} { ${fields} } } }`
    const { data, errors } = await ask(query, { variables })
    assert.equal(errors, undefined, JSON.stringify(errors))
    return data.geoNode.registries
  }
  const page = (size: number, after: string | null = null) =>
    get(
      `edges { cursor node { ${recordIdField} } }
       pageInfo { hasNextPage hasPreviousPage startCursor endCursor }`,
      { size, after },
      '($size: Int, $after: String)',
      '(first: $size, after: $after)',
    )
  const keysOf = ({ edges }: { edges: { node: Record<string, string> }[] }) =>
    edges.map(({ node }) => node[recordIdField])

  describe(`gets registries for ${replicable.names.name}`, () => {
    beforeEach(async () => {
      const { make, reset } = bench()
      await reset()
      // Without a registry, so that no record has the id of its own.
      await make.row()
      const common = { created_at: CREATED_AT }
      pending = await make.registry({ columns: common })
      verified = await make.registry({
        sync: 'synced',
        verification: 'succeeded',
        columns: {
          ...common,
          last_synced_at: SYNCED_AT,
          verified_at: VERIFIED_AT,
          verification_started_at: STARTED_AT,
        },
      })
      failed = await make.registry({
        sync: 'failed',
        columns: {
          ...common,
          last_synced_at: SYNCED_AT,
          retry_at: RETRY_AT,
          last_sync_failure: 'Verification failed with: foo',
          verification_state: V.failed,
          verification_started_at: STARTED_AT,
          verified_at: VERIFIED_AT,
          verification_retry_at: RETRY_AT,
          verification_retry_count: 1,
          verification_failure: 'foo',
          verification_checksum_mismatched: Buffer.concat([Buffer.of(SHA256_BYTE), Buffer.from(MISMATCHED, 'hex')]),
          checksum_mismatch: true,
        },
      })
    })

    it('answers with each registry, all its fields as they are told', async () => {
      const { nodes } = await get(`nodes { id modelRecordId ${recordIdField} ${FIELDS} }`)
      const expected = async (record: MadeRow, told: Partial<Record<keyof typeof BLANK, unknown>>) => ({
        id: `gid://gitlab/Geo::${registryClass}/${await registryIdOf(bench(), record)}`,
        modelRecordId: record.id,
        [recordIdField]: record.id,
        ...BLANK,
        ...told,
      })
      const once = { lastSyncedAt: SYNCED_AT, verificationStartedAt: STARTED_AT, verifiedAt: VERIFIED_AT }
      assert.deepEqual(nodes, [
        await expected(pending, {}),
        await expected(verified, {
          ...once,
          state: 'SYNCED',
          verificationState: 'SUCCEEDED',
          verificationChecksum: verified.digest.hex,
        }),
        await expected(failed, {
          ...once,
          state: 'FAILED',
          retryCount: 1,
          retryAt: RETRY_AT,
          lastSyncFailure: 'Verification failed with: foo',
          verificationState: 'FAILED',
          verificationRetryAt: RETRY_AT,
          verificationRetryCount: 1,
          verificationFailure: 'foo',
          verificationChecksumMismatched: MISMATCHED,
          checksumMismatch: true,
        }),
      ])
    })

    it('counts them, no further than one beyond the limit', async () => {
      assert.deepEqual(await get('count'), { count: 3 })
      assert.deepEqual(await get('count(limit: 1)'), { count: 2 })
      assert.deepEqual(await get('count(limit: 3)'), { count: 3 })
    })

    it('counts those that a filter leaves', async () => {
      assert.deepEqual(await get('count', {}, '', '(replicationState: FAILED)'), { count: 1 })
    })

    for (const [limit, reason] of [
      [1500, 'limit must be less than or equal to 1000'],
      [0, 'limit must be greater than or equal to 1'],
    ] as const) {
      it(`refuses to count to ${limit}`, async () => {
        const { errors } = await ask(`{ geoNode { ${registriesField} { count(limit: ${limit}) } } }`)
        assert.deepEqual(
          errors?.map(({ message, extensions }) => [message, extensions?.code]),
          [[reason, 'INVALID_REQUEST']],
        )
      })
    }

    it('gives a page of the size that is asked for, and the next after its cursor', async () => {
      const fourth = await bench().make.registry()
      const first = await page(2)
      assert.deepEqual(keysOf(first), [pending.id, verified.id])
      assert.deepEqual(first.pageInfo, {
        hasNextPage: true,
        hasPreviousPage: false,
        startCursor: first.edges[0].cursor,
        endCursor: first.edges[1].cursor,
      })
      const second = await page(2, first.pageInfo.endCursor)
      assert.deepEqual(keysOf(second), [failed.id, fourth.id])
      assert.equal(second.pageInfo.hasNextPage, false)
    })
  })
}
