import { z } from 'zod'
import { declaredType } from '../blob/declared-type.ts'
import { parseRecordId, type Replicable } from '../blob/replicable.ts'
import { GeoError } from '../errors.ts'
import { SYNC_STATE, type SyncState } from '../registry/sync-state.ts'
import type { Role } from '../site.ts'
import { VERIFICATION_STATE, type VerificationState } from '../verification/verification-state.ts'

export type BulkAction = 'resync' | 'reverify'

/** Which rows of a type: all that are given must hold; nothing given is all rows. */
export interface BulkFilter {
  /** Keys of the host's records, 1 to 10,000. */
  ids?: readonly string[] | undefined
  /** State of the sync; on a secondary. */
  syncState?: SyncState | undefined
  verificationState?: VerificationState | undefined
  /** The code that the row failed with; on a secondary. */
  errorCode?: string | undefined
}

/** What is asked of a bulk run. */
export interface BulkRequest {
  /** `resync`: fetch again, on a secondary. `reverify`: hash again what is stored, on any site. */
  readonly action: BulkAction
  /** A declared type or its name. */
  readonly type: Replicable<never> | string
  readonly filter?: BulkFilter
  /** Counts what would be changed and changes nothing. Default false. */
  readonly dryRun?: boolean
  /** Who asks, for the record; at most 255 characters. */
  readonly requestedBy?: string
}

/** A request once it is known to be in order. */
export interface CheckedRequest {
  readonly action: BulkAction
  readonly replicable: Replicable
  readonly filter: BulkFilter
  readonly dryRun: boolean
  readonly requestedBy: string | null
}

const MOST_IDS = 10_000
const states = <State extends string>(of: Readonly<Record<State, number>>) => z.enum(Object.keys(of) as State[])

export const filterShape = z.strictObject({
  ids: z.array(z.string()).min(1).max(MOST_IDS).optional(),
  syncState: states(SYNC_STATE).optional(),
  verificationState: states(VERIFICATION_STATE).optional(),
  errorCode: z.string().min(1).max(64).optional(),
})

const requestShape = z.strictObject({
  action: z.enum(['resync', 'reverify']),
  type: z.union([z.string(), z.object({ name: z.string() }).transform(({ name }) => name)]),
  filter: filterShape.default({}),
  dryRun: z.boolean().default(false),
  requestedBy: z.string().min(1).max(255).optional(),
})

/**
 * Checks what is asked against the declarations and the role of this site.
 * @throws GeoError `INVALID_REQUEST`, `UNKNOWN_REPLICABLE`, `INVALID_RECORD_ID`, `NOT_SECONDARY`, `SITE_UNKNOWN`
 */
export function checkRequest(
  request: BulkRequest,
  replicables: ReadonlyMap<string, Replicable>,
  role: Role,
): CheckedRequest {
  const parsed = requestShape.safeParse(request)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'request'}: ${issue.message}`)
    throw new GeoError('INVALID_REQUEST', problems.join('; '))
  }
  const { action, type, filter, dryRun, requestedBy } = parsed.data
  const replicable = declaredType(replicables, type)
  if (role === 'unknown') throw new GeoError('SITE_UNKNOWN', 'This site is not in geo_nodes')
  if (role === 'primary') requireForPrimary(action, filter)
  const ids = filter.ids?.map((id) => {
    const parsedId = parseRecordId(replicable, id)
    if (parsedId === null)
      throw new GeoError('INVALID_RECORD_ID', `${JSON.stringify(id)} is not a key of ${replicable.name}`)
    return parsedId
  })
  return Object.freeze({
    action,
    replicable,
    filter: { ...filter, ...(ids && { ids }) },
    dryRun,
    requestedBy: requestedBy ?? null,
  })
}

function requireForPrimary(action: BulkAction, { syncState, errorCode }: BulkFilter): void {
  if (action === 'resync') throw new GeoError('NOT_SECONDARY', 'The primary has no copies to fetch again')
  if (syncState !== undefined || errorCode !== undefined) {
    throw new GeoError('NOT_SECONDARY', 'filter: syncState and errorCode are known of the copies of a secondary')
  }
}
