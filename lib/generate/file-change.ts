import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { namesIn, readIfThere } from '../if-there.ts'
import type { Host } from './host.ts'
import type { MigrationToWrite } from './migration-files.ts'

/** What the generator wants a file to hold. */
export interface FileToWrite {
  /** From the host's folder, with slashes. */
  readonly path: string
  readonly text: string
  /** What is there now where it is ours to add to it; every other file that exists is left as it is. */
  readonly replaces?: string
  /** Whether it is only begun here and then the host's: whatever it holds is right. */
  readonly isBegun?: true
}

/** What becomes of a file. */
export interface FileChange {
  readonly path: string
  /** What is there; null where nothing is. */
  readonly before: string | null
  readonly after: string
  /** `write`: it is new, or ours to add to. `same`: it is there already. `differs`: it is left as it is. */
  readonly outcome: 'write' | 'same' | 'differs'
}

export async function changeOf({ folder }: Pick<Host, 'folder'>, file: FileToWrite): Promise<FileChange> {
  const before = await readIfThere(join(folder, file.path))
  const { path, text: after } = file
  if (before === after || (file.isBegun && before !== null)) return { path, before, after, outcome: 'same' }
  return { path, before, after, outcome: before === null || before === file.replaces ? 'write' : 'differs' }
}

/** Never over a file that came into being meanwhile. */
export async function write({ folder }: Pick<Host, 'folder'>, { path, before, after }: FileChange): Promise<void> {
  const file = join(folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, after, { flag: before === null ? 'wx' : 'w' })
}

/**
 * Where migrations go: files that end alike are the same migration, whatever their timestamps; new ones come after the newest
 * that is there, in the order given.
 */
export async function placed(
  host: Host,
  migrations: readonly MigrationToWrite[],
  now = new Date(),
): Promise<FileToWrite[]> {
  const files: FileToWrite[] = []
  const newest = new Map<string, number>()
  for (const { database, suffix, text } of migrations) {
    const folder = host.migrations[database]
    const names = await namesIn(join(host.folder, folder))
    const there = names.find((name) => new RegExp(`^\\d+_${suffix}\\.[cm]?[jt]s$`).test(name))
    const latest = Math.max(newest.get(folder) ?? 0, ...names.map(momentOf))
    const moment = Math.max(Math.floor(now.getTime() / 1000), latest + 1)
    if (there === undefined) newest.set(folder, moment)
    files.push({ path: `${folder}/${there ?? `${timestamp(moment)}_${suffix}${host.style.extension}`}`, text })
  }
  return files
}

/** The timestamp of a migration in seconds, or 0 where its name begins otherwise. */
function momentOf(name: string): number {
  const [, year, month, day, hour, minute, second] = (/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)_/.exec(name) ?? []).map(
    Number,
  )
  if (year === undefined) return 0
  return Date.UTC(year, (month ?? 1) - 1, day, hour, minute, second) / 1000
}

function timestamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replaceAll(/[-:T]|\..*$/g, '')
}
