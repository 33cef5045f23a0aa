import { type Dir, existsSync, lstatSync, rmSync } from 'node:fs'
import { opendir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import xxhash from 'xxhash-wasm'
import { standBack } from '../background-priority.ts'
import { isLegalKey, RESERVED_PREFIX } from '../blob/key.ts'
import { MARKER_NAME } from '../blob/store-marker.ts'
import { isUnfinished } from '../transfer/part.ts'
import type { WalkAnswer, WalkOrder, WalkTask } from './store-walk.ts'

standBack()

const FILES_PER_ANSWER = 50
const FIRST_CAPACITY = 1 << 16

/** The keys that rows name, as hashes: eight bytes each, whatever their length. Two keys of one hash keep a file too many. */
class NamedKeys {
  readonly #hash: (key: string) => bigint
  #hashes = new BigUint64Array(FIRST_CAPACITY)
  #count = 0
  #sorted = false

  constructor(hash: (key: string) => bigint) {
    this.#hash = hash
  }

  add(keys: readonly string[]): void {
    for (const key of keys) {
      if (this.#count === this.#hashes.length) {
        const larger = new BigUint64Array(this.#hashes.length * 2)
        larger.set(this.#hashes)
        this.#hashes = larger
      }
      this.#hashes[this.#count] = this.#hash(key)
      this.#count += 1
    }
    this.#sorted = false
  }

  has(key: string): boolean {
    if (!this.#sorted) this.#hashes.subarray(0, this.#count).sort()
    this.#sorted = true
    const wanted = this.#hash(key)
    let low = 0
    for (let high = this.#count; low < high; ) {
      const middle = (low + high) >>> 1
      if ((this.#hashes[middle] ?? 0n) < wanted) low = middle + 1
      else high = middle
    }
    return low < this.#count && this.#hashes[low] === wanted
  }
}

const { root, olderThanMs } = workerData as WalkTask

/** Neither the content nor the name of the file has changed since. */
function isOld(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  return stat?.isFile() === true && Math.max(stat.mtimeMs, stat.ctimeMs) < olderThanMs
}

/** Null for a folder that is gone by now, or that this process may not read, such as `lost+found`: nothing there is a blob. */
async function openIfMine(folder: string): Promise<Dir | null> {
  try {
    return await opendir(folder)
  } catch (reason) {
    if (['ENOENT', 'EACCES', 'EPERM'].includes((reason as NodeJS.ErrnoException).code ?? '')) return null
    throw reason
  }
}

/** Every old file below a folder that no row names. What is left of transfers whose processes died goes on the way. */
async function* unnamedFiles(folder: string, named: NamedKeys): AsyncGenerator<string> {
  const opened = await openIfMine(folder)
  if (!opened) return
  for await (const entry of opened) {
    const path = join(folder, entry.name)
    // A folder with a marker of its own is another store, whose rows are not read here.
    if (entry.isDirectory() && !existsSync(join(path, MARKER_NAME))) yield* unnamedFiles(path, named)
    else if (!entry.isFile()) continue
    else if (entry.name.toLowerCase().startsWith(RESERVED_PREFIX)) {
      if (isUnfinished(entry.name) && isOld(path)) rmSync(path, { force: true })
    } else {
      const key = relative(root, path).replaceAll(sep, '/')
      if (isLegalKey(key) && !named.has(key) && isOld(path)) yield key
    }
  }
}

async function main(port: NonNullable<typeof parentPort>): Promise<void> {
  const { h64 } = await xxhash()
  const named = new NamedKeys(h64)
  const files = unnamedFiles(root, named)
  const answer = async (order: WalkOrder): Promise<WalkAnswer> => {
    if (order.name) {
      named.add(order.name)
      return { keys: [], ended: false }
    }
    const keys: string[] = []
    while (keys.length < FILES_PER_ANSWER) {
      const file = await files.next()
      if (file.done) return { keys, ended: true }
      keys.push(file.value)
    }
    return { keys, ended: false }
  }
  port.on('message', (order: WalkOrder) => {
    answer(order).then(
      (answered) => port.postMessage(answered),
      // Ends the thread, and with it the walk: the other side hears of it as an error.
      (reason: unknown) => setImmediate(() => Promise.reject(reason)),
    )
  })
}

if (parentPort) await main(parentPort)
