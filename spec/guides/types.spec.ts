import { readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ROOT } from '../support/entries.ts'
import { exitOf } from '../support/exit-of.ts'
import { blocksOf, GUIDES, type GuideBlock, readGuide } from '../support/guide.ts'
import { type HostFolder, hostFolder } from '../support/host-folder.ts'

/** What the guides import of a host that everybody imagines. */
const IMAGINED: Readonly<Record<string, string>> = {
  'app.ts': `import type { Express, Request } from 'express'
import type { Geo } from 'express-geo-replication'
import type { Knex } from 'knex'

export declare const app: Express
export declare const db: Knex
export declare const geo: Geo
export declare function storeFile(request: Request): Promise<string>
`,
  'geo.options.ts': `import type { GeoOptions } from 'express-geo-replication'

export declare const options: GeoOptions
`,
  'session.ts': `import type { Request } from 'express'

export declare function sessionOf(request: Request): { role: string; email: string } | null
`,
  'knexfile.d.ts': `import type { Knex } from 'knex'

declare const environments: { main: Knex.Config; tracking: Knex.Config }
export default environments
`,
}

/** What the fragments in README.md take for known. */
const OF_README = `import type { Geo, GeoOptions, Replicable } from 'express-geo-replication'
import type { Express, RequestHandler } from 'express'
import type { Knex } from 'knex'

export { createRegistryTable, createVerificationStateTable } from 'express-geo-replication'
export interface Widget { id: string; file_path: string | null; content_type: string }
export type Migrating = Knex
export declare const uploads: string
export declare const mainDb: Knex
export declare const trackingDb: Knex
export declare const unleash: NonNullable<GeoOptions['features']>
export declare const encryptionKey: string
export declare const values: object
export declare const mayRead: RequestHandler
export declare const app: Express
export declare const geo: Geo
export declare const widgets: Replicable<Widget>
`
const KNOWN_TO_README = [...OF_README.matchAll(/(?:const|interface|type) (\w+)[ :=]/g)].map(([, name = '']) => name)
const MIGRATIONS_OF_README = ['createRegistryTable', 'createVerificationStateTable']

/** A fragment of README.md as a module: what it does not declare itself is imported. */
function ofReadme(fragment: string): string {
  const taken = [...KNOWN_TO_README, ...MIGRATIONS_OF_README].filter(
    (name) => !new RegExp(`(const|import \\{.*) ${name}\\b`).test(fragment),
  )
  const typed = fragment.replaceAll('= (knex) =>', '= (knex: Migrating) =>')
  const imports = taken.map((name) => (/^[A-Z]/.test(name) ? `type ${name}` : name))
  return `import { ${imports.join(', ')} } from './known.ts'\n${typed}\nexport {}\n`
}

let host: HostFolder
beforeAll(async () => {
  host = await hostFolder({ 'package.json': '{"type":"module"}' })
  await symlink(join(ROOT, 'node_modules/unleash-client'), join(host.path, 'node_modules/unleash-client'))
})
afterAll(() => host?.remove())

const modules = (blocks: readonly GuideBlock[]) => blocks.filter(({ language }) => language === 'ts')

it('Every block of TypeScript in the guides and in README.md compiles', async () => {
  const { compilerOptions } = JSON.parse(await readFile(join(ROOT, 'tsconfig.json'), 'utf8'))
  let count = 0
  for (const name of GUIDES) {
    const blocks = modules(await readGuide(name))
    if (blocks.length === 0) continue
    const folder = name.replace('.md', '')
    for (const [file, text] of Object.entries(IMAGINED)) await host.write(`${folder}/${file}`, text)
    for (const { subject, line, text } of blocks) await host.write(`${folder}/${subject ?? `line-${line}.ts`}`, text)
    count += blocks.length
  }
  expect(count).toBeGreaterThan(10)
  await host.write('readme/known.ts', OF_README)
  for (const { line, text } of modules(blocksOf(await readFile(join(ROOT, 'README.md'), 'utf8')))) {
    // A block that begins with a remark is one module for each remark.
    const parts = text.startsWith('//') ? text.split(/^(?=\/\/)/m) : [text]
    for (const [part, module] of parts.entries()) {
      await host.write(`readme/line-${line}-${part}.ts`, ofReadme(module))
    }
  }
  await host.write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['.'] }))
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { stdout, stderr } = await exitOf(process.execPath, [compiler, '-p', '.'], { cwd: host.path })
  expect(stdout + stderr).toBe('')
})
