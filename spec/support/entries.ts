import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A subpath of the package. */
export interface Entry {
  /** `.`, `./graphql` … */
  readonly subpath: string
  /** The built module, from the root of the package, without an extension. */
  readonly path: string
}

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What hosts can import, as package.json says. */
export function entries(): Entry[] {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  return Object.entries(exports as Record<string, string | { import: { default: string } }>).flatMap(
    ([subpath, target]) =>
      typeof target === 'string' ? [] : [{ subpath, path: target.import.default.replace(/^\.\/|\.js$/g, '') }],
  )
}
