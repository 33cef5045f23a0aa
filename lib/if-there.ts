import { readdir, readFile } from 'node:fs/promises'

export function readIfThere(file: string): Promise<string | null> {
  return ifThere(readFile(file, 'utf8'))
}

/** What lies in a folder; nothing where it is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await ifThere(readdir(folder))) ?? []
}

/** Null where what was to be read is not there. */
export async function ifThere<Result>(read: Promise<Result>): Promise<Result | null> {
  try {
    return await read
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw reason
  }
}
