import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Arrival } from '../../lib/transfer/arrival.ts'
import { HashedFile } from '../../lib/transfer/hashed-file.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'geo-arrival-'))
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(root, { recursive: true })
})

it('A file whose closing fails is closed: its number may be that of another file by then', () => {
  const number = openSync(join(root, 'file'), 'w')
  const file = new HashedFile(number, null, { readBack: false })
  closeSync(number)
  expect(() => file.close()).toThrow('EBADF')
  const others = openSync(join(root, 'another'), 'w')
  expect(others).toBe(number)
  file.close()
  closeSync(others)
})

/** As a full NFS: what was written is refused when the file is closed, which it is all the same. */
function refuseClosing(): void {
  const { close } = HashedFile.prototype
  vi.spyOn(HashedFile.prototype, 'close').mockImplementationOnce(function (this: HashedFile) {
    close.call(this)
    throw Object.assign(new Error('ENOSPC: no space left on device, close'), { code: 'ENOSPC' })
  })
}

describe.each([true, false])('What cannot be closed (durable: %s)', (durable) => {
  async function written(): Promise<Arrival> {
    const arrival = new Arrival(root, { id: '1', key: 'f/1', expected: null })
    await arrival.begin({ toHandOver: durable })
    arrival.write(Buffer.from('bytes'))
    return arrival
  }

  it('has failed as the disk says, and nothing of it stays', async () => {
    const arrival = await written()
    refuseClosing()
    expect(arrival.finish(durable)).toMatchObject({ outcome: 'failed', id: '1', code: 'STORAGE_FULL' })
    expect(await readdir(join(root, 'f'))).toEqual([])
  })

  it('keeps its own cause where it was given up for another', async () => {
    const arrival = await written()
    refuseClosing()
    const failed = { outcome: 'failed', id: '1', code: 'BODY_TRUNCATED', message: 'It was cut' }
    expect(arrival.abandon('BODY_TRUNCATED', 'It was cut')).toEqual(failed)
    expect(await readdir(join(root, 'f'))).toEqual([])
  })

  it('is no other file afterwards', async () => {
    const arrival = await written()
    refuseClosing()
    if (durable) arrival.handOver()
    const other = openSync(join(root, 'another'), 'w')
    expect(arrival.finish(durable)).toMatchObject({ outcome: 'failed', code: 'STORAGE_FULL' })
    closeSync(other)
  })
})
