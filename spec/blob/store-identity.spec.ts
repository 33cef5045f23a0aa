import { mkdtemp, rm, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { StoreMarker } from '../../lib/blob/blob-store.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { StoreIdentities } from '../../lib/blob/store-identity.ts'
import { MARKER_NAME } from '../../lib/blob/store-marker.ts'
import { ManualClock } from '../../lib/testing/manual-clock.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { untyped } from '../support/fixture-rows.ts'

let databases: SpecDatabases
let root: string
beforeAll(async () => {
  databases = await createSpecDatabases()
  root = await mkdtemp(join(tmpdir(), 'geo-identity-'))
})
afterAll(async () => {
  await databases.destroy()
  await rm(root, { recursive: true })
})

it('A look at the marker that takes long does not outlive what a later one has seen', async () => {
  const widgets = untyped(declareReplicables(root).widgets)
  const clock = new ManualClock()
  const stores = new StoreIdentities(clock)
  const problem = async (type: Replicable) => (await stores.problem(type, databases.main, 'rome'))?.code ?? null
  expect(await problem(widgets)).toBeNull()

  // Read while it was there, answered when it is gone.
  clock.advance(1000)
  const read = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const late = {
    ...widgets.store,
    async readMarker(): Promise<StoreMarker | null> {
      const marker = await widgets.store.readMarker()
      read.resolve()
      await goOn.promise
      return marker
    },
  }
  const slow = problem({ ...widgets, store: late })
  await read.promise
  await unlink(join(root, MARKER_NAME))
  clock.advance(900)
  const meanwhile = problem(widgets)
  goOn.resolve()

  await slow
  expect(await problem(widgets)).toBe(await meanwhile)
  clock.advance(100)
  expect(await problem(widgets)).toBe('STORE_NOT_MOUNTED')
})

it('Who is to remove files looks anew, whatever was seen a moment ago', async () => {
  const folder = await mkdtemp(join(root, 'anew-'))
  const gadgets = untyped(declareReplicables(folder).gadgets)
  const stores = new StoreIdentities(new ManualClock())
  expect(await stores.problem(gadgets, databases.main, 'rome')).toBeNull()
  await unlink(join(folder, MARKER_NAME))
  expect(await stores.problem(gadgets, databases.main, 'rome')).toBeNull()
  expect(await stores.problemNow(gadgets, databases.main, 'rome')).toMatchObject({ code: 'STORE_NOT_MOUNTED' })
  expect(await stores.problem(gadgets, databases.main, 'rome')).toMatchObject({ code: 'STORE_NOT_MOUNTED' })
})

it('A look that failed is taken again by the next who asks', async () => {
  const widgets = untyped(declareReplicables(root).widgets)
  const stores = new StoreIdentities(new ManualClock())
  const broken = { ...widgets.store, readMarker: () => Promise.reject(new Error('Input/output error')) }
  await expect(stores.problem({ ...widgets, store: broken }, databases.main, 'rome')).rejects.toThrow('Input/output')
  expect((await stores.problem(widgets, databases.main, 'rome'))?.code).toBe('STORE_NOT_MOUNTED')
})
