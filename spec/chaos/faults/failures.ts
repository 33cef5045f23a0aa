import { setTimeout as sleep } from 'node:timers/promises'
import { rowsOf } from '../databases.ts'
import { nameOf } from '../ledger.ts'
import type { World } from '../world.ts'
import { isKeyChange, type Retry, retried } from './retries.ts'

const LOOK_EVERY_MS = 200

/** What the primary says against its own files, by the name of the record. */
export async function primaryFailures({ databases }: Pick<World, 'databases'>): Promise<Map<string, string>> {
  const rows = await rowsOf<{ name: string; failure: string }>(
    databases.primary.url,
    `select 'widgets/' || widget_id as name, verification_failure as failure from widget_states
       where verification_failure is not null or verification_state = 3
     union all select 'gadgets/' || id, verification_failure from gadgets
       where verification_failure is not null or verification_state = 3`,
  )
  return new Map(rows.map(({ name, failure }) => [name, failure]))
}

/** What was said against the file or the copy of a record. */
export interface Failure {
  readonly site: string
  readonly record: string
  readonly text: string
}

/**
 * Looks all the time, on all sites, at what is said against files and copies: what is tried again at once and comes to a good end is
 * forgotten there. It begins with what is not said yet when this resolves, and ends when it is called. Nothing counts that the host
 * has deleted, or given another file meanwhile: a row is asked for until its secondary has heard of that.
 */
export async function watchFailures(world: World): Promise<() => Promise<Failure[]>> {
  const versions = new Map(world.ledger.records.map(({ type, id, versions }) => [nameOf(type, id), versions.length]))
  const [known, knownPrimary] = await Promise.all([retried(world), primaryFailures(world)])
  const found = new Map<string, Failure>()
  const ended = new AbortController()
  const look = async () => {
    for (const [name, retry] of await retried(world)) if (!known.has(name)) keep(found, name, failureOf(name, retry))
    for (const [record, text] of await primaryFailures(world)) {
      const site = world.primary.name
      if (!knownPrimary.has(record)) keep(found, `${site}: ${record}`, { site, record, text })
    }
  }
  const watching = (async () => {
    while (!ended.signal.aborted) {
      await look()
      await sleep(LOOK_EVERY_MS)
    }
  })()
  // Told of by whoever ends it.
  watching.catch(() => undefined)
  return async () => {
    ended.abort()
    await watching
    const same = world.ledger
      .live()
      .filter(({ type, id, versions: now }) => now.length === (versions.get(nameOf(type, id)) ?? 1))
    const meant = new Set(same.map(({ type, id }) => nameOf(type, id)))
    return [...found.values()].filter((failure) => meant.has(failure.record) && !isKeyChange(failure))
  }
}

function failureOf(name: string, { record, text }: Retry): Failure {
  return { site: name.slice(0, -`: ${record}`.length), record, text }
}

/** The first of several looks that says why: a copy that has been fetched again, and is not hashed yet, counts what it says no more. */
export function keep(found: Map<string, Failure>, name: string, failure: Failure): void {
  const before = found.get(name)
  if (!before || /^\d+$/.test(before.text)) found.set(name, failure)
}
