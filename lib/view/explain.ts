import type { Knex } from 'knex'
import { declaredType } from '../blob/declared-type.ts'
import { parseRecordId, type Replicable } from '../blob/replicable.ts'
import { loadSource } from '../blob/source.ts'
import { ERROR_CODES, type ErrorCode, GeoError, isErrorCode, messageOf } from '../errors.ts'
import { eventsOf, type LoggedEvent } from '../event/record-events.ts'
import type { FeatureGate } from '../feature.ts'
import { type LeaseState, leaseState } from '../other-leases.ts'
import { type CopyRecord, copyRecord } from '../registry/copy-record.ts'
import type { SiteDirectory } from '../site.ts'
import { codeOfText } from '../verification/failure-text.ts'
import { type PrimaryRecord, primaryRecord } from '../verification/primary-record.ts'

/** What is asked of an assembly. */
export interface ExplainSources {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly sites: SiteDirectory
  readonly gate: FeatureGate
  readonly byName: ReadonlyMap<string, Replicable>
}

/** Everything that this site knows of one blob. */
export interface Explanation {
  readonly type: string
  readonly id: string
  readonly site: { readonly name: string; readonly role: 'primary' | 'secondary' }
  readonly flagIsOn: boolean
  /** The host's row, as this site's copy of the main database has it. */
  readonly row: {
    readonly isThere: boolean
    /** As `available` of the type says. */
    readonly isAvailable: boolean
    /** As `scope` of the type and the selection of this site say; true where nothing is selected. */
    readonly isInScope: boolean
    readonly key: string | null
    readonly failure: string | null
  }
  /** What the primary knows of its own file; on a secondary as the replica has it. */
  readonly primary: PrimaryRecord | null
  /** The registry row; null on the primary, and where there is none. */
  readonly copy: CopyRecord | null
  /** Who works it now. */
  readonly lease: LeaseState | null
  /** What failed last, and what to do. */
  readonly failure: {
    readonly code: ErrorCode | string | null
    readonly message: string
    readonly advice: string | null
  } | null
  readonly file: {
    readonly key: string
    readonly path: string
    /** Null where there is no file now. */
    readonly bytes: number | null
    readonly problem: string | null
  } | null
  /** All that the event log still holds of it, the newest first. */
  readonly events: readonly LoggedEvent[]
  /** In a sentence or two, the most important first. */
  readonly summary: readonly string[]
}

/** @throws GeoError `UNKNOWN_REPLICABLE`, `INVALID_RECORD_ID`, `SITE_UNKNOWN` */
export async function explain(sources: ExplainSources, type: string, givenId: string): Promise<Explanation> {
  const { databases, sites, gate, byName } = sources
  const { main, tracking } = databases
  await sites.refresh()
  const me = sites.requireMe()
  const replicable = declaredType(byName, type)
  const id = parseRecordId(replicable, givenId)
  if (id === null) throw new GeoError('INVALID_RECORD_ID', `${JSON.stringify(givenId)} is not a key of ${type}`)
  const available = (await loadSource(main, replicable, [id])).get(id)
  const selected = me.primary ? null : me.selectiveSync
  const inScope = selected ? (await loadSource(main, replicable, [id], selected)).get(id) : available
  const primary = await primaryRecord(main, replicable, id)
  const copy = !me.primary && tracking ? await copyRecord(tracking, replicable, id) : null
  const leaseId = copy?.leaseId ?? null
  const known = {
    type,
    id,
    site: { name: me.name, role: me.primary ? ('primary' as const) : ('secondary' as const) },
    flagIsOn: gate.replicationEnabled(replicable),
    row: {
      isThere: available !== undefined,
      isAvailable: available?.wanted ?? false,
      isInScope: selected ? (inScope?.wanted ?? false) : true,
      key: available?.key ?? null,
      failure: available?.failure?.message ?? null,
    },
    primary,
    copy,
    lease: leaseId !== null && tracking ? await leaseState(tracking, leaseId) : null,
    failure: failureOf(me.primary ? null : copy, primary, me.primary),
    file: await fileOf(replicable, copy?.key ?? available?.key ?? null),
    events: await eventsOf(main, replicable.name, id),
  }
  return { ...known, summary: summaryOf(known) }
}

function failureOf(copy: CopyRecord | null, primary: PrimaryRecord | null, onPrimary: boolean): Explanation['failure'] {
  const message = onPrimary ? primary?.failure : (copy?.syncFailure ?? copy?.verificationFailure)
  if (!message) return null
  const code = copy?.errorCode ?? codeOfText(message)
  return { code, message, advice: isErrorCode(code) ? ERROR_CODES[code][1] : null }
}

async function fileOf({ store }: Replicable, key: string | null): Promise<Explanation['file']> {
  if (key === null) return null
  const place = { key, path: `${store.root}/${key}` }
  try {
    return { ...place, bytes: (await store.stat(key))?.bytes ?? null, problem: null }
  } catch (reason) {
    return { ...place, bytes: null, problem: messageOf(reason) }
  }
}

function summaryOf(known: Omit<Explanation, 'summary'>): string[] {
  const { row, site, copy, primary, failure, file, flagIsOn } = known
  const said: string[] = []
  if (!flagIsOn) said.push('The flag of this type is off here: nothing of it is replicated.')
  if (!row.isThere) said.push('The host has no such row.')
  else if (row.failure) said.push('Which file the row names cannot be said.')
  else if (!row.isAvailable) said.push('The row has no file yet, as `available` says.')
  else if (!row.isInScope) said.push('This site does not hold it, by what is selected for it.')
  if (primary?.isCorrupt) said.push('The file on the primary is not what its recorded checksum says.')
  if (site.role === 'secondary') {
    if (!copy) {
      if (row.isAvailable && row.isInScope && flagIsOn) said.push('This site has not heard of it yet.')
    } else if (copy.isLeaving) said.push('It is about to be removed here.')
    else if (copy.state === 'synced' && copy.verificationState === 'succeeded') said.push('The copy here is verified.')
    else if (copy.state === 'synced' && primary?.checksum === null)
      said.push('The copy is here and waits for a checksum of the primary.')
    else if (copy.state === 'synced' && copy.verificationState !== 'failed')
      said.push('The copy is here and is to be hashed.')
    else if (copy.state === 'pending') said.push('It waits to be fetched.')
    else if (copy.state === 'started') said.push('It is being fetched.')
  } else if (primary?.verificationState === 'succeeded') said.push('The file is what its recorded checksum says.')
  else if (primary === null && row.isAvailable) said.push('It has not been hashed yet.')
  if (file && file.bytes === null && (site.role === 'primary' || copy?.state === 'synced'))
    said.push('There is no file at its place.')
  if (failure) said.push(`It failed: ${failure.message}`)
  return said
}
