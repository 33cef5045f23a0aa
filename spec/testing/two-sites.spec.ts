import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { type MadeRow, type TwoSites, twoSites } from '../../lib/testing/index.ts'
import { GADGETS, WIDGETS } from '../contract/subjects.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'

const VERIFIED = { sync: 'synced', verification: 'succeeded', errorCode: null }

describe('two sites of the testing kit', () => {
  let databases: SpecDatabases
  let sites: TwoSites

  beforeAll(async () => {
    databases = await createSpecDatabases()
    sites = await twoSites({
      replicable: WIDGETS.replicable,
      others: [declareReplicables('unused').gadgets],
      databases: { ...databases, replica: databases.standby },
      insertRow: WIDGETS.insertRow,
    })
  })
  afterAll(async () => {
    await sites.close()
    await databases.destroy()
  })
  beforeEach(() => sites.reset())

  async function created(traits: Parameters<TwoSites['make']['row']>[0] = {}): Promise<MadeRow> {
    const { make, main, primary } = sites
    const record = await make.row(traits)
    await main.transaction((trx) => primary.geo.replicator(primary.type).created(record.row, trx))
    return record
  }
  const copied = ({ blobKey }: MadeRow) => readFile(join(sites.secondary.type.store.root, blobKey ?? ''), 'utf8')
  const replicated = async (traits = {}) => {
    const record = await created(traits)
    await sites.settle()
    expect(await sites.copyOf(record.id)).toEqual(VERIFIED)
    return record
  }

  it('bring a file over and verify it when they settle, and not before', async () => {
    const record = await created()
    expect(await sites.copyOf(record.id)).toBeNull()
    await sites.settle()
    expect(await sites.copyOf(record.id)).toEqual(VERIFIED)
    expect(await copied(record)).toBe(record.bytes)
  })

  it('bring over the files of the other types too', async () => {
    const { main, tracking, primary, secondary } = sites
    const { gadget } = primary.types
    const id = await GADGETS.insertRow(main, { blobKey: null, owner: null })
    expect(id).toMatch(/-/)
    await main.transaction((trx) => primary.geo.replicator(gadget ?? primary.type).created({ id }, trx))
    await sites.settle()
    expect(await tracking('gadget_registry').count()).toEqual([{ count: '0' }])
    expect(secondary.types['gadget']?.store.root).not.toBe(secondary.type.store.root)
  })

  it('leave a type alone whose flag is off, until the next reset', async () => {
    sites.switchFlag(false)
    const record = await created()
    await sites.settle()
    expect(await sites.copyOf(record.id)).toBeNull()
    await sites.reset()
    await replicated()
  })

  it('heal a copy that is corrupt, cut or gone, once a pass of verification has found it', async () => {
    for (const harm of ['corrupt', 'truncate', 'remove'] as const) {
      const record = await replicated()
      await sites.secondary.faults[harm](record.blobKey ?? '')
      expect(await copied(record).catch(() => 'gone')).not.toBe(record.bytes)
      await sites.secondary.geo.bulk.start({ action: 'reverify', type: 'widget' })
      await sites.settle()
      await sites.settle()
      expect([harm, await sites.copyOf(record.id)]).toEqual([harm, VERIFIED])
      expect(await copied(record)).toBe(record.bytes)
    }
  })

  it('tell of a file of the primary that is corrupt, and keep the good copy', async () => {
    const record = await replicated()
    await sites.primary.faults.corrupt(record.blobKey ?? '')
    await sites.primary.geo.bulk.start({ action: 'reverify', type: 'widget' })
    await sites.settle()
    // A site counts what it tells of itself once a minute.
    sites.clock.advance(60_000)
    await sites.settle()
    expect((await sites.primary.geo.health()).findings).toContainEqual(
      expect.objectContaining({ code: 'CORRUPT_ON_PRIMARY' }),
    )
    expect(await copied(record)).toBe(record.bytes)
  })

  it('cannot fetch what is unreadable', async () => {
    const record = await created()
    await sites.primary.faults.unreadable(record.blobKey ?? '')
    await sites.settle()
    expect(await sites.copyOf(record.id)).toMatchObject({ sync: 'failed', errorCode: 'NOT_A_FILE' })
  })

  it('pause while a store is not mounted, and go on when it is', async () => {
    await sites.secondary.faults.unmount()
    const record = await created()
    await sites.settle()
    expect(await sites.copyOf(record.id)).toMatchObject({ sync: 'pending' })
    expect((await sites.secondary.geo.health()).findings).toContainEqual(
      expect.objectContaining({ code: 'STORE_NOT_MOUNTED' }),
    )
    await sites.secondary.faults.mount()
    await sites.settle()
    expect(await sites.copyOf(record.id)).toEqual(VERIFIED)
  })

  it('count no failure while the primary is down', async () => {
    sites.wire.down()
    const record = await created()
    await sites.settle()
    expect(await sites.copyOf(record.id)).toEqual({ sync: 'pending', verification: 'disabled', errorCode: null })
    sites.wire.up()
    sites.clock.advance(60_000)
    await sites.settle()
    expect(await sites.copyOf(record.id)).toEqual(VERIFIED)
  })

  it.each([
    ['of its own', 3_000_000, 1_000_000],
    ['with others', 1000, 100],
  ])('fetch a blob although its transfer is cut, in a request %s', async (_, length, cutAfter) => {
    const bytes = 'x'.repeat(length)
    sites.wire.cutAfter(cutAfter)
    const record = await created({ bytes })
    await sites.settle()
    // With a request for many, the site waits a little before it asks again.
    sites.clock.advance(60_000)
    await sites.settle()
    expect(await copied(record)).toBe(bytes)
    expect(sites.wire.cuts).toBe(1)
    await replicated({ bytes })
    expect(sites.wire.cuts).toBe(1)
  })

  it('know nothing any more after a reset', async () => {
    const record = await replicated()
    await sites.primary.faults.unmount()
    await sites.reset()
    for (const { type, log } of [sites.primary, sites.secondary]) {
      expect(await readdir(type.store.root)).toEqual(['.geo-store.json'])
      expect(log.lines).toEqual([])
    }
    expect(await sites.events()).toEqual([])
    expect(await sites.copyOf(record.id)).toBeNull()
    expect(await sites.main('widgets').count()).toEqual([{ count: '0' }])
  })

  it('leave no folder behind when they are closed', async () => {
    const others = await createSpecDatabases()
    const more = await twoSites({
      replicable: GADGETS.replicable,
      databases: { ...others, replica: others.standby },
      insertRow: GADGETS.insertRow,
    })
    const folder = dirname(dirname(more.primary.type.store.root))
    expect((await stat(folder)).isDirectory()).toBe(true)
    await more.close()
    await others.destroy()
    await expect(stat(folder)).rejects.toThrow('ENOENT')
  })
})
