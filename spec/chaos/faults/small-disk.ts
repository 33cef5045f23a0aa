import { execFile } from 'node:child_process'
import { mkdir, open, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Site } from '../site.ts'
import { filesBelow } from '../watcher.ts'
import type { World } from '../world.ts'

const run = promisify(execFile)
const MEBIBYTE = 1024 * 1024
const ROOM_BYTES = 256 * MEBIBYTE
const REMOUNT_ATTEMPTS = 200
const REMOUNT_AGAIN_MS = 25

/** Until nothing fits any more. */
export async function fillUp(path: string): Promise<void> {
  const file = await open(path, 'a')
  try {
    for (let piece = MEBIBYTE; piece >= 512; ) {
      try {
        await file.write(Buffer.alloc(piece))
      } catch (reason) {
        if ((reason as NodeJS.ErrnoException).code !== 'ENOSPC') throw reason
        piece /= 2
      }
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The kernel refuses while a file is open for writing, which is so for a moment again and again. */
export async function remount({ mounts }: World, { blobsDir }: Site, option: 'ro' | 'rw'): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await mounts.remount(blobsDir, option)
    } catch (reason) {
      if (attempt === REMOUNT_ATTEMPTS) throw reason
      await sleep(REMOUNT_AGAIN_MS)
    }
  }
}

/** All that the site has lies on a small ext4 file system of its own from now on, until it is put back. */
export async function moveToDisk({ folder, mounts }: World, site: Site): Promise<() => Promise<void>> {
  const { blobsDir } = site
  const image = join(folder, `${site.name}.ext4`)
  const beside = join(folder, `${site.name}.disk`)
  const below = join(folder, `${site.name}.below`)
  const { stdout } = await run('du', ['--summarize', '--block-size=1', blobsDir])
  await writeFile(image, '')
  await truncate(image, 2 * Number.parseInt(stdout, 10) + ROOM_BYTES)
  await run('mkfs.ext4', ['-q', '-m', '0', image])
  for (const point of [beside, below]) await mkdir(point)
  await mounts.over(beside, ['-o', 'loop', image])
  await run('cp', ['--archive', `${blobsDir}/.`, beside])
  // What lies below the disk then can still be reached there.
  await mounts.over(below, ['--bind', dirname(blobsDir)])
  await mounts.over(blobsDir, ['--bind', beside])
  return async () => {
    const under = join(below, basename(blobsDir))
    await run('cp', ['--archive', '--no-clobber', `${beside}/.`, under])
    for (const key of await filesBelow(under)) {
      const isGone = await stat(join(beside, key)).then(
        () => false,
        () => true,
      )
      if (isGone) await rm(join(under, key))
    }
    for (const point of [blobsDir, below, beside]) await mounts.off(point)
    for (const point of [below, beside]) await rm(point, { recursive: true })
    await rm(image)
  }
}
