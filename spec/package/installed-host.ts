import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { ROOT } from '../support/entries.ts'
import { exitOf } from '../support/exit-of.ts'

/** A host in an empty folder outside this repo: one of fixtures with the packed package and others from the registry. */
export interface InstalledHost {
  readonly path: string
  /** Installs further packages. Rejects with what npm says. */
  install(...packages: string[]): Promise<void>
  /** Runs a program in the folder. `environment`: of its own. */
  run(
    program: string,
    args: readonly string[],
    environment?: Record<string, string>,
  ): Promise<Awaited<ReturnType<typeof exitOf>>>
  /** The names of what lies in node_modules, scoped ones with their scope. */
  installed(): Promise<string[]>
  remove(): Promise<void>
}

/** fixtures/packed-host, which has nothing installed but what is named. */
export function installHost(type: 'module' | 'commonjs', ...packages: string[]): Promise<InstalledHost> {
  const packageJson = JSON.stringify({ private: true, type })
  return installFixture('packed-host', { files: { 'package.json': packageJson }, packages })
}

/** A folder of fixtures with what its package.json asks for. `files` are added or put in the place of its own. */
export async function installFixture(
  name: string,
  { files = {}, packages = [] }: { files?: Readonly<Record<string, string>>; packages?: readonly string[] },
): Promise<InstalledHost> {
  const path = await mkdtemp(join(tmpdir(), 'geo-packed-host-'))
  await cp(join(ROOT, 'fixtures', name), path, { recursive: true })
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text)
  const host: InstalledHost = {
    path,
    async install(...names) {
      const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
      const { status, stderr } = await host.run('npm', ['install', ...options, ...names])
      if (status !== 0) throw new Error(`npm install ${names.join(' ')}: ${stderr}`)
    },
    run: (program, args, environment = {}) => exitOf(program, args, { cwd: path, ...environment }),
    async installed() {
      const folder = join(path, 'node_modules')
      const names = await readdir(folder)
      const scoped = names.filter((name) => name.startsWith('@'))
      const inScopes = scoped.map(async (scope) =>
        (await readdir(join(folder, scope))).map((name) => `${scope}/${name}`),
      )
      return [...names.filter((name) => !name.startsWith('@')), ...(await Promise.all(inScopes)).flat()]
    },
    remove: () => rm(path, { recursive: true, force: true }),
  }
  try {
    await host.install(inject('tarball'), ...packages)
    return host
  } catch (reason) {
    await host.remove()
    throw reason
  }
}
