import type { Knex } from 'knex'
import { compareDigests } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { loadSource, type SourceRecord } from '../blob/source.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import { bounded } from '../databases.ts'
import { type ErrorCode, GeoError } from '../errors.ts'
import { inParallel } from '../in-parallel.ts'
import type { Lease } from '../lease.ts'
import type { Site } from '../site-table.ts'
import type { ReceivedBlob } from '../transfer/blob-order.ts'
import { type CopyFetching, fetchCopy } from '../transfer/fetch-copy.ts'
import type { ChecksumPool, ChecksumResult } from '../verification/checksum.ts'
import { type DamagedRecord, damagedRecords, hashRepaired, lockDamaged } from '../verification/damaged.ts'

/** What became of a record that was looked at. */
export interface RepairedRecord {
  readonly id: string
  /** Where its file lies in the store; null where the row names none. */
  readonly key: string | null
  /**
   * `repaired`: the file is back. `good`: what lies there is right already. `damaged`: in a dry run, to be repaired. `gone`: the
   * row went or got another file meanwhile. `failed`: no site could help, or the file could not be placed.
   */
  readonly outcome: 'repaired' | 'good' | 'damaged' | 'gone' | 'failed'
  /** The secondary that the file came from. */
  readonly from: string | null
  /** Why not: one reason per site that was asked, or that of the primary itself. */
  readonly reasons: readonly RepairReason[]
}

export interface RepairReason {
  /** The site that says so. */
  readonly site: string
  readonly code: ErrorCode
  readonly message: string
}

export interface RepairContext extends CopyFetching {
  readonly main: Knex
  readonly pool: ChecksumPool
  readonly stores: StoreIdentities
}

export interface RepairOrder {
  readonly replicable: Replicable
  /** Only these records; null is all that are damaged. */
  readonly ids: readonly string[] | null
  readonly dryRun: boolean
}

const RECORDS_PER_PAGE = 100
const AT_ONCE = 4
/** Of a copy that is being hashed; the site lets each question wait as well. */
const ASK_AGAIN_AFTER_MS = 1000

/**
 * Brings back files of the primary that are missing or whose bytes are not those of their recorded checksum, from secondaries
 * whose verified copies still are. What lies there is hashed first: a good file is never replaced. Each record is told once.
 * @throws GeoError `STORE_NOT_MOUNTED`; the reason of the lease's signal
 */
export async function repairType(
  context: RepairContext,
  order: RepairOrder,
  lease: Lease,
  tell: (record: RepairedRecord) => void,
): Promise<void> {
  const { main, stores, sites } = context
  const problem = await stores.problem(order.replicable, main, sites.siteName)
  if (problem) throw problem
  const repair = new Repair(context, order, lease)
  await inParallel(repair.suspects(), AT_ONCE, async (suspect) => {
    lease.signal.throwIfAborted()
    tell(await repair.look(suspect))
  })
}

interface Suspect extends DamagedRecord {
  readonly source: SourceRecord | undefined
}

class Repair {
  readonly #context: RepairContext
  readonly #order: RepairOrder
  readonly #lease: Lease
  /** Sites that did not answer, and what they said: they are not asked again. */
  readonly #silent = new Map<string, RepairReason>()

  constructor(context: RepairContext, order: RepairOrder, lease: Lease) {
    this.#context = context
    this.#order = order
    this.#lease = lease
  }

  async *suspects(): AsyncGenerator<Suspect> {
    const { main } = this.#context
    const { replicable, ids } = this.#order
    for (let after: string | null = null; ; ) {
      const page: DamagedRecord[] = await damagedRecords(main, replicable, { ids, after, limit: RECORDS_PER_PAGE })
      const source = await loadSource(
        main,
        replicable,
        page.map((record) => record.id),
      )
      for (const record of page) yield { ...record, source: source.get(record.id) }
      after = page.at(-1)?.id ?? null
      if (page.length < RECORDS_PER_PAGE) return
    }
  }

  async look(suspect: Suspect): Promise<RepairedRecord> {
    const { dryRun } = this.#order
    const { id, recorded, source } = suspect
    if (source?.wanted && source.failure) return told(id, null, 'failed', [this.#mine(source.failure)])
    if (!source?.wanted || source.key === null) return told(id, null, 'gone')
    const { key } = source
    const found = await this.#hash(key, suspect)
    if (found.ok && found.digests.some((digest) => compareDigests(digest, recorded) === 'equal')) {
      if (!dryRun) await hashRepaired(this.#context.main, this.#order.replicable, id)
      return told(id, key, 'good')
    }
    // A folder or a link in place of the file, or a disk that cannot be read, is for a person to look at.
    if (!found.ok && found.code !== 'FILE_MISSING') return told(id, key, 'failed', [this.#mine(found)])
    return dryRun ? told(id, key, 'damaged') : this.#bringBack(suspect, key)
  }

  async #hash(key: string, { recorded }: Suspect): Promise<ChecksumResult> {
    const { root } = this.#order.replicable.store
    const [result] = await this.#context.pool.checksumSome([{ root, key, algorithms: [recorded.algorithm] }])
    if (!result) throw new Error(`The checksum threads gave no result for ${key}`)
    return result
  }

  /** Asks one secondary after another until one has a good copy. */
  async #bringBack(suspect: Suspect, key: string): Promise<RepairedRecord> {
    const { sites } = this.#context
    const reasons: RepairReason[] = []
    const others = sites.all.filter((site) => site.enabled && !site.primary)
    if (others.length === 0) {
      reasons.push(this.#mine({ code: 'SITE_UNKNOWN', message: 'No secondary site is enabled' }))
    }
    for (const site of others) {
      const got = this.#silent.get(site.name) ?? (await this.#ask(site, suspect, key))
      if ('code' in got) {
        reasons.push(got)
        continue
      }
      const problem = await this.#place(suspect, got)
      if (problem === 'gone') return told(suspect.id, key, 'gone')
      return problem
        ? told(suspect.id, key, 'failed', [...reasons, this.#mine(problem)])
        : told(suspect.id, key, 'repaired', reasons, site.name)
    }
    return told(suspect.id, key, 'failed', reasons)
  }

  /** The copy of a site under a temporary name, hashed as it came; or why there is none. */
  async #ask(site: Site, { id, recorded }: Suspect, key: string): Promise<ReceivedBlob | RepairReason> {
    const wanted = { id, key, expected: recorded }
    const { clock } = this.#context
    const ask = () => fetchCopy(this.#context, site, this.#order.replicable, wanted, this.#lease)
    let { outcomes, refusal } = await ask()
    // However large it is: the site says so as long as it works on it.
    while (refusal?.code === 'COPY_BEING_HASHED') {
      await clock.sleep(ASK_AGAIN_AFTER_MS, this.#lease.signal)
      this.#lease.signal.throwIfAborted()
      ;({ outcomes, refusal } = await ask())
    }
    this.#lease.signal.throwIfAborted()
    const [outcome] = outcomes
    if (outcome?.outcome === 'received') return outcome
    if (outcome?.outcome === 'failed') return { site: site.name, code: outcome.code, message: outcome.message }
    if (refusal?.code === 'PRIMARY_UNREACHABLE' || refusal?.code === 'TLS_UNTRUSTED') {
      const reason = { site: site.name, code: 'SITE_UNREACHABLE', message: ofSite(refusal.message, site) } as const
      this.#silent.set(site.name, reason)
      return reason
    }
    if (refusal) return { site: site.name, code: refusal.code, message: ofSite(refusal.message, site) }
    return { site: site.name, code: 'INVALID_RESPONSE', message: 'The answer holds no copy' }
  }

  /** Gives the copy its name, durably, while nobody can give the record another file; then it is hashed like any other. */
  async #place(suspect: Suspect, blob: ReceivedBlob): Promise<{ code: ErrorCode; message: string } | 'gone' | null> {
    const { main, threads } = this.#context
    const { replicable } = this.#order
    const { checksum: algorithm, store } = replicable
    const how = { root: store.root, durable: store.durable, algorithm, names: 'any' } as const
    const ended = await bounded(main, async (trx) => {
      if (!(await lockDamaged(trx, replicable, suspect))) return 'gone'
      const placed = await threads.place({ ...how, blobs: [blob], endsAt: this.#lease.endsAt })
      if (placed === null) throw new GeoError('LEASE_LOST', 'This process was stopped while it repaired')
      const [ended] = placed
      if (ended?.outcome === 'failed') return ended
      await hashRepaired(trx, replicable, suspect.id)
      return null
    })
    if (ended === 'gone') await threads.discard([blob])
    return ended
  }

  #mine({ code, message }: { code: ErrorCode; message: string }): RepairReason {
    return { site: this.#context.sites.siteName, code, message }
  }
}

function told(
  id: string,
  key: string | null,
  outcome: RepairedRecord['outcome'],
  reasons: readonly RepairReason[] = [],
  from: string | null = null,
): RepairedRecord {
  return { id, key, outcome, from, reasons }
}

/** Transfers are written for secondaries, and speak of the primary. */
function ofSite(message: string, { name }: Site): string {
  return message.replace(/^The primary\b/, `The site "${name}"`)
}
