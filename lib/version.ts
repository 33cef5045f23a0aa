import { readFileSync } from 'node:fs'

/** The version of this package. */
export const VERSION = versionOf()

function versionOf(): string {
  // From lib in the repository, from dist/lib in the package.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
      if (name === 'express-geo-replication') return version
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') throw reason
    }
  }
  return 'unknown'
}
