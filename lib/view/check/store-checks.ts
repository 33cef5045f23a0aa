import { randomUUID } from 'node:crypto'
import { open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Knex } from 'knex'
import type { Replicable } from '../../blob/replicable.ts'
import { recordedStore } from '../../blob/store-table.ts'
import { messageOf } from '../../errors.ts'
import { loadOwnStatus } from '../../site-status-table.ts'
import { bytesOf } from '../quantities.ts'
import { toldProgress } from '../status/told-progress.ts'
import { type Check, noBy, skipped, yes } from './outcome.ts'
import type { CheckSources } from './sources.ts'

const LEAST_FREE_SHARE = 0.01

/** Of each folder that holds blobs: is it the right one, and can it take more. `db`: the database that this site writes. */
export function storeChecks(sources: CheckSources, db: Knex): Check[] {
  const perRoot = Map.groupBy(sources.settings.replicables, ({ store }) => store.root)
  return [...perRoot].flatMap(([root, replicables]) => {
    const of = replicables.map(({ name }) => name).join(', ')
    return [
      { name: `The store of ${of} is mounted`, ask: () => isMounted(sources, db, replicables) },
      { name: `The store of ${of} can be written`, ask: () => isWritable(root) },
      { name: `The store of ${of} has space`, ask: () => hasSpace(sources, root, replicables) },
    ]
  })
}

/** Looks and never makes a marker: that is for the processes of the site. */
async function isMounted({ sites, stores }: CheckSources, db: Knex, replicables: readonly Replicable[]) {
  for (const replicable of replicables) {
    const { store, name } = replicable
    const isUsed = (await recordedStore(db, name, sites.siteName)) ?? (await store.readMarker())
    if (!isUsed) return skipped(`${store.root} has not been used yet`)
    const problem = await stores.problem(replicable, db, sites.siteName)
    if (problem) return noBy(problem.code, problem.message)
  }
  return yes(replicables[0]?.store.root)
}

async function isWritable(root: string) {
  const path = join(root, `.geo-tmp-check-${randomUUID()}`)
  try {
    const file = await open(path, 'wx')
    try {
      await file.write('geo check')
      await file.sync()
    } finally {
      await file.close()
      await rm(path)
    }
    return yes()
  } catch (reason) {
    const code = (reason as NodeJS.ErrnoException).code === 'ENOSPC' ? 'STORAGE_FULL' : 'STORAGE_ERROR'
    return noBy(code, messageOf(reason))
  }
}

async function hasSpace({ databases, sites }: CheckSources, root: string, replicables: readonly Replicable[]) {
  const { bavail, blocks, bsize } = await statfs(root)
  const free = bavail * bsize
  const own = sites.role === 'secondary' && databases.tracking ? await loadOwnStatus(databases.tracking) : null
  const pending = replicables.reduce(
    (sum, { names }) => sum + (toldProgress(own?.status ?? {}, names.plural).pending_bytes ?? 0),
    0,
  )
  const text = `${bytesOf(free)} free${pending > 0 ? `, ${bytesOf(pending)} to come` : ''}`
  return free < pending || bavail < blocks * LEAST_FREE_SHARE ? noBy('STORAGE_FULL', text) : yes(text)
}
