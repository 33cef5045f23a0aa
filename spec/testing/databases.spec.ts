import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'

describe("a spec file's databases", () => {
  let databases: SpecDatabases

  beforeAll(async () => {
    databases = await createSpecDatabases()
  })
  afterAll(() => databases?.destroy())

  it('are migrated and empty', async () => {
    expect(await databases.main('geo_events').count()).toEqual([{ count: '0' }])
    expect(await databases.tracking('geo_event_cursors').count()).toEqual([{ count: '0' }])
  })

  it('show on the standby what was committed, once it has caught up', async () => {
    for (let written = 1; written <= 50; written += 1) {
      await databases.main('geo_events').insert({ replicable_name: 'widget', event_name: 'created' })
      await databases.caughtUp()
      expect(await databases.standby('geo_events').count()).toEqual([{ count: String(written) }])
    }
  })

  it('are read-only on the standby', async () => {
    const insert = databases.standby('geo_events').insert({ replicable_name: 'widget', event_name: 'created' })
    await expect(insert).rejects.toThrow('read-only transaction')
  })

  it('can be made by several at once, each its own, and are gone when destroyed', async () => {
    const several = await Promise.all([createSpecDatabases(), createSpecDatabases(), createSpecDatabases()])
    const counts = await Promise.all(several.map(({ main }) => main('geo_events').count()))
    expect(counts).toEqual([[{ count: '0' }], [{ count: '0' }], [{ count: '0' }]])
    await Promise.all(several.map((each) => each.destroy()))
    const names = several.map(({ mainUrl }) => new URL(mainUrl).pathname.slice(1))
    expect(await databases.main('pg_database').whereIn('datname', names)).toEqual([])
    expect(await databases.tracking('pg_database').whereIn('datname', names)).toEqual([])
  })
})
