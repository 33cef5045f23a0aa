import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { BulkRequest } from '../bulk/request.ts'
import { ERROR_CODES, isErrorCode } from '../errors.ts'
import { countCodes } from '../registry/failure-groups.ts'
import type { SiteDirectory } from '../site.ts'
import { failedFiles } from '../verification/failure-groups.ts'
import { codeOfText } from '../verification/failure-text.ts'

/** What failed of one type in one way. */
export interface FailureGroup {
  readonly type: string
  /** `UNKNOWN` where no code was recorded. */
  readonly code: string
  readonly count: number
  readonly newest: { readonly id: string; readonly message: string | null; readonly at: string | null }
  readonly advice: string | null
  /** What has exactly these tried again at once; empty where that cannot be said of them. */
  readonly retries: readonly BulkRequest[]
}

export interface FailureSources {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly sites: SiteDirectory
}

const UNKNOWN = 'UNKNOWN'

/** The failures of the given types on this site, those that are most first. */
export async function failureGroups(
  { databases, sites }: FailureSources,
  replicables: readonly Replicable[],
): Promise<FailureGroup[]> {
  const { main, tracking } = databases
  await sites.ensureFresh()
  const groups: FailureGroup[] = []
  for (const replicable of replicables) {
    if (sites.requireMe().primary) groups.push(...(await ofPrimary(main, replicable)))
    else if (tracking) groups.push(...(await ofSecondary(tracking, replicable)))
  }
  return groups.sort((left, right) => right.count - left.count)
}

interface Sum {
  toFetch: number
  toHash: number
  ids: string[]
  newest: FailureGroup['newest']
}

async function ofSecondary(tracking: Knex, replicable: Replicable): Promise<FailureGroup[]> {
  const sums = new Map<string, Sum>()
  for await (const page of countCodes(tracking, replicable)) {
    for (const { code, toFetch, toHash, newest } of page) {
      const sum = add(sums, code ?? UNKNOWN, newest)
      sum.toFetch += toFetch
      sum.toHash += toHash
    }
  }
  return [...sums].map(([code, { toFetch, toHash, newest }]) => {
    const common = { type: replicable.name }
    const requests: BulkRequest[] = [
      ...(toFetch > 0
        ? [{ ...common, action: 'resync' as const, filter: { errorCode: code, syncState: 'failed' as const } }]
        : []),
      ...(toHash > 0
        ? [
            {
              ...common,
              action: 'reverify' as const,
              filter: { errorCode: code, verificationState: 'failed' as const },
            },
          ]
        : []),
    ]
    return { ...groupOf(replicable, code, toFetch + toHash, newest), retries: code === UNKNOWN ? [] : requests }
  })
}

const FILES_PER_PAGE = 10_000
/** As many as a filter takes. */
const MOST_IDS = 10_000

async function ofPrimary(main: Knex, replicable: Replicable): Promise<FailureGroup[]> {
  const sums = new Map<string, Sum>()
  for (let after: string | null = null; ; ) {
    const files = await failedFiles(main, replicable, { after, limit: FILES_PER_PAGE })
    for (const { id, message, at } of files) {
      const sum = add(sums, codeOfText(message) ?? UNKNOWN, { id, message, at })
      sum.toHash += 1
      if (sum.ids.length < MOST_IDS) sum.ids.push(id)
    }
    after = files.at(-1)?.id ?? null
    if (files.length < FILES_PER_PAGE) break
  }
  return [...sums].map(([code, { toHash, ids, newest }]) => ({
    ...groupOf(replicable, code, toHash, newest),
    retries: [{ action: 'reverify' as const, type: replicable.name, filter: { ids } }],
  }))
}

function add(sums: Map<string, Sum>, code: string, newest: FailureGroup['newest']): Sum {
  const sum = sums.get(code) ?? { toFetch: 0, toHash: 0, ids: [], newest }
  if ((newest.at ?? '') > (sum.newest.at ?? '')) sum.newest = newest
  sums.set(code, sum)
  return sum
}

function groupOf({ name }: Replicable, code: string, count: number, newest: FailureGroup['newest']) {
  return { type: name, code, count, newest, advice: isErrorCode(code) ? ERROR_CODES[code][1] : null }
}
