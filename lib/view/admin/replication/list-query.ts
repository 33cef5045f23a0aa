import { parseRecordId, type Replicable } from '../../../blob/replicable.ts'
import type { RegistryWindow } from '../../../registry/registry-page.ts'
import { SYNC, type SyncState } from '../../../registry/sync-state.ts'
import { VERIFICATION, type VerificationState } from '../../../verification/verification-state.ts'
import { decodeCursor } from '../../registries/cursor.ts'
import { REGISTRY_SORTS, type RegistryFilters, type RegistrySort } from '../../registries/finder.ts'

export const PAGE_SIZE = 20
const MOST_SHOWN = 100

/** What a list of registries shows, as its address says (GB.J.3). */
export interface ListQuery {
  /** As the person wrote it. */
  readonly ids: string
  readonly replicationStatus: SyncState | ''
  readonly verificationStatus: VerificationState | ''
  readonly sort: RegistrySort
  readonly after: string
  readonly before: string
}

/** What is no value of a filter is as if it were not given. */
export function listQueryOf(query: Readonly<Record<string, unknown>>): ListQuery {
  const text = (name: string) => (typeof query[name] === 'string' ? query[name].trim().slice(0, 2000) : '')
  const oneOf = <Value extends string>(name: string, values: readonly Value[]) =>
    values.find((value) => value === text(name)) ?? ''
  return {
    ids: text('ids'),
    replicationStatus: oneOf('replication_status', SYNC.states),
    verificationStatus: oneOf('verification_status', VERIFICATION.states),
    sort: oneOf('sort', REGISTRY_SORTS) || 'ID_ASC',
    after: text('after'),
    before: text('before'),
  }
}

/** The same as an address; `change` replaces what it names. Another filter or order begins at the first page. */
export function addressOf(query: ListQuery, change: Partial<ListQuery> = {}): Record<string, string> {
  const keepsPlace = Object.keys(change).every((name) => name === 'after' || name === 'before')
  const { ids, replicationStatus, verificationStatus, sort, after, before } = { ...query, ...change }
  return {
    ids,
    replication_status: replicationStatus,
    verification_status: verificationStatus,
    sort: sort === 'ID_ASC' ? '' : sort,
    after: keepsPlace ? after : '',
    before: keepsPlace ? before : '',
  }
}

export function isFiltered({ ids, replicationStatus, verificationStatus }: ListQuery): boolean {
  return ids !== '' || replicationStatus !== '' || verificationStatus !== ''
}

/** Null where nothing can be meant by the ids that are looked for. */
export function filtersOf(query: ListQuery, replicable: Replicable): RegistryFilters | null {
  const ids = query.ids === '' ? null : idsOf(query.ids, replicable)
  if (ids && ids.registryIds.length + ids.recordIds.length === 0) return null
  return {
    sort: query.sort,
    ...(ids && ids.registryIds.length > 0 && { ids: ids.registryIds }),
    ...(ids && ids.recordIds.length > 0 && { recordIds: ids.recordIds }),
    ...(query.replicationStatus !== '' && { replicationState: query.replicationStatus }),
    ...(query.verificationStatus !== '' && { verificationState: query.verificationStatus }),
  }
}

/** One more than a page, so that it is known whether there are more. */
export function windowOf({ sort, after, before }: ListQuery): RegistryWindow {
  const limit = PAGE_SIZE + 1
  if (before !== '') return { before: decodeCursor(sort, before), limit, fromEnd: true }
  return after === '' ? { limit } : { after: decodeCursor(sort, after), limit }
}

/** Registry ids that a page has shown, which it tells anew while it is live. */
export function shownOf({ shown }: Readonly<Record<string, unknown>>): string[] | null {
  if (typeof shown !== 'string') return null
  return shown
    .split(',')
    .filter((id) => /^\d{1,18}$/.test(id))
    .slice(0, MOST_SHOWN)
}

/** `12`, `WidgetRegistry/12` and a global id mean registry rows; `Widget/42` a row of the host. */
function idsOf(text: string, replicable: Replicable): { registryIds: string[]; recordIds: string[] } {
  const { className, registryClass } = replicable.names
  const found = { registryIds: [] as string[], recordIds: [] as string[] }
  for (const word of text.split(/[\s,]+/)) {
    const [path = '', id = ''] = /^(.*\/)?([^/]+)$/.exec(word)?.slice(1) ?? []
    const kind = path.replace(/^gid:\/\/[^/]+\//, '').replace(/^.*::/, '')
    if (kind === `${className}/`) {
      const recordId = parseRecordId(replicable, id)
      if (recordId !== null) found.recordIds.push(recordId)
    } else if (/^\d{1,18}$/.test(id) && ['', `${registryClass}/`].includes(kind)) found.registryIds.push(id)
  }
  return found
}
