import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Knex } from 'knex'
import type { Digest } from '../../lib/blob/digest.ts'
import { hasherFor } from '../../lib/blob/hasher.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { StoreIdentities } from '../../lib/blob/store-identity.ts'
import { Leases } from '../../lib/lease.ts'
import { Signals } from '../../lib/signals.ts'
import { ManualClock } from '../../lib/testing/manual-clock.ts'
import { ChecksumPool } from '../../lib/verification/checksum.ts'
import type { VerificationTracker } from '../../lib/verification/tracker.ts'
import { VerificationWork } from '../../lib/verification/verify.ts'
import { type RecordingLogger, recordingLogger } from './recording-logger.ts'

/** A folder of blobs and what hashes them, over one database. */
export interface VerifyingSite {
  readonly root: string
  /** What the hashing has told. */
  readonly log: RecordingLogger
  writeBlob(key: string, text: string): Promise<void>
  removeBlob(key: string): Promise<void>
  /** Verifies batch after batch until nothing waits. `afterClaim` runs between each claim and its work. Returns the number of batches. */
  verify(
    db: Knex,
    tracker: VerificationTracker,
    replicable: Replicable,
    afterClaim?: () => Promise<unknown>,
  ): Promise<number>
  close(): Promise<void>
}

export async function createVerifyingSite(): Promise<VerifyingSite> {
  const root = await mkdtemp(join(tmpdir(), 'geo-verify-'))
  const pool = new ChecksumPool(1)
  const clock = new ManualClock()
  const log = recordingLogger()
  return {
    root,
    log,
    async writeBlob(key, text) {
      await mkdir(dirname(join(root, key)), { recursive: true })
      await writeFile(join(root, key), text)
    },
    removeBlob: (key) => rm(join(root, key)),
    async verify(db, tracker, replicable, afterClaim) {
      const work = new VerificationWork({
        db,
        tracker,
        pool,
        clock,
        logger: log,
        signals: new Signals(log),
        siteName: 'rome',
        leases: new Leases(randomUUID(), clock),
        stores: new StoreIdentities(clock),
        enabled: () => [replicable],
        capacity: () => 1,
      })
      for (let batches = 0; ; batches += 1) {
        const batch = await work.claim()
        if (!batch) return batches
        await afterClaim?.()
        await work.work(batch)
      }
    },
    async close() {
      await pool.close()
      await rm(root, { recursive: true, force: true })
    },
  }
}

export async function digestOf(bytes: string | Uint8Array, algorithm: Digest['algorithm'] = 'xxh64'): Promise<Digest> {
  const hasher = await hasherFor(algorithm)
  hasher.update(Buffer.from(bytes))
  return { algorithm, hex: hasher.digestHex() }
}
