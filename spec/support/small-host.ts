import { unifiedDiff } from '../../lib/generate/unified-diff.ts'

/** The smallest host that somebody could run: two tables whose rows have a file each, none of which is replicated yet. */

const UP = `await knex.raw(\`create schema shop;
    create type shop.colour as enum ('red', 'green');
    create table widgets (id bigserial primary key, file_path text);
    create table shop.gadgets (code uuid primary key default gen_random_uuid(), label varchar(20) not null default '',
      colour shop.colour not null, made_on date not null, file_path text not null default '')\`)`

const MIGRATION = `import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  ${UP}
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table widgets; drop schema shop cascade')
}
`

const SERVER = `import express from 'express'
import { gadgetRoutes } from './gadget-routes.ts'
import { geo } from './geo/geo.ts'
import { widgetRoutes } from './widget-routes.ts'

const app = express()
app.use('/widgets', widgetRoutes)
app.use('/gadgets', gadgetRoutes)
app.use(geo.router)
const server = app.listen(Number(process.env['PORT']), '127.0.0.1', () => process.send?.('ready'))
await geo.start()

const stop = async (): Promise<void> => {
  server.close()
  server.closeAllConnections()
  await geo.stop()
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('disconnect', stop)
`

const FILES = `import { randomUUID } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Request } from 'express'
import { store } from './geo/store.ts'

export async function storeFile({ body }: Request): Promise<string> {
  const key = randomUUID()
  await mkdir(store.root, { recursive: true })
  await writeFile(join(store.root, key), body)
  return key
}

export async function removeFile(key: string): Promise<void> {
  await rm(join(store.root, key))
}
`

const TABLES = {
  widget: { table: 'widgets', key: 'id', values: '{ file_path }' },
  gadget: { table: 'shop.gadgets', key: 'code', values: "{ file_path, colour: 'red', made_on: new Date() }" },
}

/** The routes of a type; with `told` also what makes it replicated. */
const routes = (type: keyof typeof TABLES, told: boolean): string => {
  const { table, key, values } = TABLES[type]
  const imports = `
import { geo } from './geo/geo.ts'
import { ${type}s } from './geo/${type}.ts'`
  const tell = (change: string): string => `
    await geo.replicator(${type}s).${change}(row, trx)`
  const insert = `const [row] = await mainDb('${table}').insert(${values}).returning('*')`
  const insertAndTell = `const row = await mainDb.transaction(async (trx) => {
    const [row] = await trx('${table}').insert(${values}).returning('*')${tell('created')}
    return row
  })`
  return `import express, { Router } from 'express'
import { removeFile, storeFile } from './files.ts'
import options from './geo.config.ts'${told ? imports : ''}

const { mainDb } = options

export const ${type}Routes = Router().use(express.raw({ type: () => true }))

${type}Routes.post('/', async (req, res) => {
  const file_path = await storeFile(req)
  ${told ? insertAndTell : insert}
  res.status(201).json(row)
})

${type}Routes.put('/:id', async (req, res) => {
  const file_path = await storeFile(req)
  const { before, row } = await mainDb.transaction(async (trx) => {
    const before = await trx('${table}').where('${key}', req.params.id).forUpdate().first()
    const [row] = await trx('${table}').where('${key}', before.${key}).update({ file_path }).returning('*')${told ? tell('updated') : ''}
    return { before, row }
  })
  await removeFile(before.file_path)
  res.json(row)
})

${type}Routes.delete('/:id', async (req, res) => {
  const row = await mainDb.transaction(async (trx) => {
    const [row] = await trx('${table}').where('${key}', req.params.id).delete().returning('*')${told ? tell('deleted') : ''}
    return row
  })
  await removeFile(row.file_path)
  res.json(row)
})
`
}

const TSCONFIG = {
  compilerOptions: { module: 'nodenext', strict: true, noEmit: true, rewriteRelativeImportExtensions: true },
}

/** Which versions is not looked at. */
export const GRAPHQL = {
  '@pothos/core': '4',
  '@pothos/plugin-relay': '4',
  dataloader: '2',
  graphql: '17',
  'graphql-yoga': '5',
}

export const HOST_FILES: Readonly<Record<string, string>> = {
  'package.json': JSON.stringify({ type: 'module', scripts: { test: 'node --test' }, dependencies: GRAPHQL }),
  'tsconfig.json': JSON.stringify(TSCONFIG),
  'migrations/main/20200101000000_create_tables.ts': MIGRATION,
  'server.ts': SERVER,
  'files.ts': FILES,
  'widget-routes.ts': routes('widget', false),
  'gadget-routes.ts': routes('gadget', false),
}

/** All that a person writes for a type: its routes tell of what they change, in the transaction in which they change it. */
export function byHand(type: 'widget' | 'gadget'): string {
  return unifiedDiff({ path: `${type}-routes.ts`, before: routes(type, false), after: routes(type, true) })
}
