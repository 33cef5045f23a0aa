import { mkdir, open, readdir, rename, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { MARKER_NAME } from '../blob/store-marker.ts'

/** Stages what can happen to the files of one site, on its real folder. All of it is undone by `reset` and `close`. */
export interface StoreFaults {
  /** Changes the first byte of a file; its length stays. An empty one becomes one byte long. Throws ENOENT where there is none. */
  corrupt(key: string): Promise<void>
  /** Cuts a file to so many bytes. Default 0. Throws ENOENT where there is none. */
  truncate(key: string, bytes?: number): Promise<void>
  /** Deletes a file behind the back of the site. Nothing happens where there is none. */
  remove(key: string): Promise<void>
  /** Puts a folder where a file is or would be: it is there, and can be neither read nor replaced. */
  unreadable(key: string): Promise<void>
  /** Puts an empty folder in the place of the whole store, as where a volume is not mounted. The next work finds it out. */
  unmount(): Promise<void>
  /** Undoes `unmount`; what was written meanwhile is gone. */
  mount(): Promise<void>
}

export interface StagedStore extends StoreFaults {
  /** Undoes all, and empties the store. */
  reset(): Promise<void>
}

/** `looked`: a site looks at most once so often whether its store is mounted; called where that changes. */
export function stagedStore(root: string, looked: () => void): StagedStore {
  const away = `${root} (unmounted)`
  let mounted = true

  const faults: StagedStore = {
    async corrupt(key) {
      const file = await open(join(root, key), 'r+')
      try {
        const first = Buffer.alloc(1)
        await file.read(first, 0, 1, 0)
        await file.write(Buffer.of((first[0] ?? 0) ^ 0xff), 0, 1, 0)
      } finally {
        await file.close()
      }
    },
    truncate: (key, bytes = 0) => truncate(join(root, key), bytes),
    remove: (key) => rm(join(root, key), { force: true }),
    async unreadable(key) {
      await rm(join(root, key), { force: true })
      await mkdir(join(root, key), { recursive: true })
    },
    async unmount() {
      if (!mounted) return
      await rename(root, away)
      await mkdir(root)
      mounted = false
      looked()
    },
    async mount() {
      if (mounted) return
      await rm(root, { recursive: true, force: true })
      await rename(away, root)
      mounted = true
      looked()
    },
    async reset() {
      await faults.mount()
      // The marker stays: without it the store would be another one than the site knows.
      const names = (await readdir(root)).filter((name) => name !== MARKER_NAME)
      await Promise.all(names.map((name) => rm(join(root, name), { recursive: true, force: true })))
    },
  }
  return faults
}
