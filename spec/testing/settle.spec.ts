import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { settle, step } from '../../lib/testing/settle.ts'
import { type AssembledSite, assembleSecondary } from '../support/assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addHostRow, registryRow, untyped } from '../support/fixture-rows.ts'

describe('running the jobs of a site by hand', () => {
  let databases: SpecDatabases
  let site: AssembledSite

  beforeAll(async () => {
    databases = await createSpecDatabases()
    site = await assembleSecondary(databases)
  })

  afterAll(async () => {
    await site.close()
    await databases.destroy()
  })

  it('does one piece of one job and waits for the batch that it started', async () => {
    const widgets = untyped(site.replicables.widgets)
    const id = await addHostRow(databases.main, widgets)
    expect(await step(site.parts, 'reconcile')).toBe(true)
    expect(await registryRow(databases.tracking, widgets, id)).toMatchObject({ state: 0 })

    // The primary does not answer, which the batch has found out by now.
    expect(await step(site.parts, 'sync')).toBe(true)
    expect(site.parts.dispatchers.sync.idle).toBe(true)
    expect(site.parts.sources.sync.refusal).toMatchObject({ code: 'PRIMARY_UNREACHABLE' })
  })

  it('does nothing for a job of the other role, and knows no other names', async () => {
    expect(await step(site.parts, 'verify-primary')).toBe(false)
    await expect(step(site.parts, 'sing')).rejects.toThrow('There is no job "sing"')
  })

  it('settles when no job finds anything to do, though rows wait for a retry', async () => {
    const gadgets = untyped(site.replicables.gadgets)
    const id = await addHostRow(databases.main, gadgets)
    site.clock.advance(60_000)
    await settle(site.parts, ['reconcile', 'sync', 'remove', 'verify'])
    expect(await registryRow(databases.tracking, gadgets, id)).toMatchObject({ state: 0, lease_id: null })
  })
})
