import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { History } from './history.ts'
import { Member } from './member.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-chaos-member-'))
})

afterEach(() => rm(folder, { recursive: true, force: true }))

/** A worker that works, and ends with this when it is told to end. */
async function workerEndingWith(code: number): Promise<Member> {
  const command = join(folder, 'worker.mjs')
  await writeFile(
    command,
    `process.on('SIGTERM', () => process.exit(${code})); setInterval(() => {}, 1000); console.log('works for paris')`,
  )
  return new Member({
    name: 'paris-worker-0',
    kind: 'worker',
    command,
    launcher: [],
    environment: {},
    outputPath: join(folder, 'output.log'),
    history: { note: () => undefined } as unknown as History,
  })
}

describe('a process of a site', () => {
  it('has ended as it should where it ends with 0 when it is told to', async () => {
    const member = await workerEndingWith(0)
    await member.start()
    await member.stop()
    expect(member.ends).toEqual([])
  })

  it('has ended badly where a worker that worked ends with anything else', async () => {
    const member = await workerEndingWith(3)
    await member.start()
    await member.stop()
    expect(member.ends).toEqual(['ended with 3'])
  })
})
