import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

/** What a reader has beside an app: what npm and the sites have put there, and the files that were uploaded. */
const LEFT_OUT = /^(node_modules|uploads|paris-uploads)\/|^package-lock\.json$|^[^/]+\.(log|txt)$/
/** Of the migration that the guide shows; what is generated has the time of that moment. */
const SHOWN = '20260101000000_'
const GENERATED = '20260102000000_'

/** The app that a reader of the first guide has made, by its paths, without what differs from reader to reader. */
export async function keptOf(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => !LEFT_OUT.test(path))
  const kept = new Map<string, string>()
  for (const path of paths) {
    const text = await readFile(join(folder, path), 'utf8')
    const steady = path.replace(/\d{14}_/, (time) => (time === SHOWN ? SHOWN : GENERATED))
    kept.set(steady, path === 'package.json' ? withAnyVersion(text) : text)
  }
  return kept
}

/** The package was installed from a file. */
function withAnyVersion(text: string): string {
  const content = JSON.parse(text)
  content.dependencies['express-geo-replication'] = '*'
  return `${JSON.stringify(content, null, 2)}\n`
}
