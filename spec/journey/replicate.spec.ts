import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bytesOf, comparedBlobs } from '../support/blob-files.ts'
import { openPublisher, type Publisher } from '../support/publisher.ts'
import type { Stored } from '../support/site-client.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const SMALL_FILES = 300
const TIMEOUT_MS = 40_000

describe('a file of the primary', { timeout: 180_000 }, () => {
  let sites: TwoSites
  let publisher: Publisher

  beforeAll(async () => {
    sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
    publisher = openPublisher(sites)
  })
  afterAll(async () => {
    await publisher?.close()
    await sites?.stop()
  })

  async function expectEqualFolders(files: number): Promise<void> {
    const { primary, secondary } = sites
    expect(await comparedBlobs(primary, secondary)).toEqual({ equalFiles: files, differences: [] })
  }

  it('reaches the secondary whatever its name and size, synced, verified and with equal bytes', async () => {
    const names = [
      'plain.txt',
      'two words.txt',
      `o'clock "quoted".txt`,
      '漢字 und Ünïcode 🎈.txt',
      '-rf $(x) #1%20?.txt',
    ]
    const stored: { row: Stored; bytes: string }[] = []
    for (const name of names) {
      for (const type of ['widgets', 'gadgets'] as const) {
        const bytes = `${type} ${name}`
        stored.push({ row: await sites.upload(type, name, bytes), bytes })
      }
    }
    const empty = await sites.upload('widgets', 'empty', '')
    const large = randomBytes(3 * 1024 * 1024)
    const largeRow = await sites.upload('gadgets', 'large', large)

    await sites.untilVerified({ widgets: 6, gadgets: 6 })
    for (const { row, bytes } of stored) expect((await bytesOf(sites.secondary, row.key))?.toString()).toBe(bytes)
    expect((await bytesOf(sites.secondary, empty.key))?.length).toBe(0)
    expect((await bytesOf(sites.secondary, largeRow.key))?.equals(large)).toBe(true)
    await expectEqualFolders(12)
  })

  it('is removed from the secondary when another replaces it', async () => {
    const before = await sites.upload('widgets', 'first.txt', 'first')
    await sites.untilVerified({ widgets: 7, gadgets: 6 })
    const after = await sites.replace('widgets', before.id, 'second.txt', 'second, and longer')

    expect(after.key).not.toBe(before.key)
    await until(async () => (await bytesOf(sites.secondary, before.key)) === null, TIMEOUT_MS)
    await sites.untilVerified({ widgets: 7, gadgets: 6 })
    expect((await bytesOf(sites.secondary, after.key))?.toString()).toBe('second, and longer')
    await expectEqualFolders(13)
  })

  it('disappears with its registry row when it is deleted, and leaves no empty folder', async () => {
    const doomed = await sites.upload('gadgets', 'doomed.txt', 'doomed')
    await sites.untilVerified({ widgets: 7, gadgets: 7 })
    await sites.remove('gadgets', doomed.id)

    await sites.untilVerified({ widgets: 7, gadgets: 6 })
    expect(await sites.databases.tracking('gadget_registry').where('gadget_id', doomed.id)).toEqual([])
    expect(await bytesOf(sites.secondary, doomed.key)).toBeNull()
    await expectEqualFolders(13)
  })

  it('is not asked for while its row has none', async () => {
    const { tracking } = sites.databases
    const [row] = await publisher.insert('widgets', [{ name: 'later.txt', bytes: null }])
    if (!row) throw new Error('No row was inserted')
    // Its event comes later, so once this one is verified, that of the row without a file has been handled.
    await sites.upload('widgets', 'witness.txt', 'witness')
    await sites.untilVerified({ widgets: 8, gadgets: 6 })
    expect(await tracking('widget_registry').where('widget_id', row.id)).toEqual([])

    const filled = await sites.replace('widgets', row.id, 'at last.txt', 'at last')
    await sites.untilVerified({ widgets: 9, gadgets: 6 })
    expect((await bytesOf(sites.secondary, filled.key))?.toString()).toBe('at last')
  })

  it('is one of hundreds of small ones that all arrive', async () => {
    const files = Array.from({ length: SMALL_FILES / 2 }, (_, number) => ({
      name: `small ${number}.txt`,
      bytes: `number ${number}\n`,
    }))
    await publisher.insert('widgets', files)
    await publisher.insert('gadgets', files)

    await sites.untilVerified({ widgets: 9 + SMALL_FILES / 2, gadgets: 6 + SMALL_FILES / 2 })
    await expectEqualFolders(15 + SMALL_FILES)
  })
})
