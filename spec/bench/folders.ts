import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * Folders for one measurement, each made anew and none removed before the last measurement has ended: ext4 keeps away from inodes
 * that were freed lately, so whoever creates files after a removal nearby would pay for it (430 µs a file instead of 28).
 */
export class Folders {
  readonly root: string
  #made = 0

  private constructor(root: string) {
    this.root = root
  }

  static async open(parent = tmpdir()): Promise<Folders> {
    const root = await mkdtemp(join(parent, 'geo-bench-'))
    await spreadApart(root)
    return new Folders(root)
  }

  /** An empty folder of that name, unlike any before. */
  async fresh(name: string): Promise<string> {
    this.#made += 1
    const path = join(this.root, `${this.#made}-${name}`)
    await mkdir(path)
    await spreadApart(path)
    return path
  }

  async close(): Promise<void> {
    await rm(this.root, { recursive: true, force: true })
  }
}

/** Tells ext4 that what lies below belongs to unlike things (chattr +T); other file systems do not know that, and need not. */
async function spreadApart(folder: string): Promise<void> {
  await run('chattr', ['+T', folder]).catch(() => undefined)
}
