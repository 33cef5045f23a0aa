import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A file that the pages load, under a name that changes with its content. */
export interface Asset {
  readonly name: string
  readonly type: string
  readonly body: Buffer
}

export interface Assets {
  readonly style: Asset
  readonly script: Asset
}

let loaded: Assets | null = null

/** Read once in a process, when the first page is asked for. */
export function loadAssets(): Assets {
  loaded ??= Object.freeze({
    style: assetOf('admin', 'css', 'text/css; charset=utf-8', [here('admin.css')]),
    script: assetOf('admin', 'js', 'text/javascript; charset=utf-8', [
      fileURLToPath(import.meta.resolve('idiomorph/dist/idiomorph.min.js')),
      here('admin.js'),
    ]),
  })
  return loaded
}

function here(name: string): string {
  return fileURLToPath(new URL(`./assets/${name}`, import.meta.url))
}

function assetOf(stem: string, extension: string, type: string, paths: readonly string[]): Asset {
  const body = Buffer.from(paths.map((path) => readFileSync(path, 'utf8')).join('\n'))
  const digest = createHash('sha256').update(body).digest('hex').slice(0, 16)
  return Object.freeze({ name: `${stem}-${digest}.${extension}`, type, body })
}
