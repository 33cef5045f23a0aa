import { join } from 'node:path'
import { exported, moduleText, typed } from './code.ts'
import type { FileToWrite } from './file-change.ts'
import type { Host } from './host.ts'
import { knexfileText, knexfileTypes } from './knexfile.ts'
import { exists, type ModuleStyle } from './module-style.ts'
import { emptyReplicablesText } from './replicables-file.ts'

/** What a host needs once: the options of its site and what the types share. What it has is its own. */
export async function siteFiles(host: Host): Promise<FileToWrite[]> {
  const { folder, style, migrations } = host
  const named = (stem: string, text: string): FileToWrite => ({ path: `${stem}${style.extension}`, text })
  const own = knexfileText(style, migrations)
  const types = style.kind === 'typescript' ? knexfileTypes(host, own.path) : []
  const missing: FileToWrite[] = []
  for (const path of Object.values(migrations)) {
    if (!(await exists(join(folder, path)))) missing.push({ path: `${path}/.gitkeep`, text: '' })
  }
  const files = [
    named('geo.config', configText(style)),
    named('geo/store', storeText(style)),
    named('geo/replicables', emptyReplicablesText(style)),
    named('geo/geo', geoText(style)),
    ...(host.knexfile === null ? [own] : []),
    ...types,
    ...missing,
  ]
  return files.map((file) => ({ ...file, isBegun: true }))
}

function configText(style: ModuleStyle): string {
  const variables = 'SITE_NAME, MAIN_DATABASE_URL, BLOBS_DIR, GEO_ENCRYPTION_KEY'
  return moduleText(
    style,
    [
      { from: 'express-geo-replication', types: ['GeoOptions'] },
      { from: 'knex', default: 'createKnex' },
      { from: `./geo/replicables${style.importExtension}`, names: ['replicables'] },
    ],
    [
      '/** The options of this site, from its environment: the app and `npx geo` read the same. */',
      `const { TRACKING_DATABASE_URL } = process.env
const { SITE_NAME = '', MAIN_DATABASE_URL = '', BLOBS_DIR = '', GEO_ENCRYPTION_KEY = '' } = process.env

const missing = Object.entries({ ${variables} })
  .filter(([, value]) => value === '')
  .map(([name]) => name)
if (missing.length > 0) throw new Error(\`Set in the environment of this site: \${missing.join(', ')}\`)`,
      `${style.kind === 'commonjs' ? 'module.exports =' : style.kind === 'esm' ? 'export default' : 'const options: GeoOptions ='} {
  siteName: SITE_NAME,
  mainDb: createKnex({ client: 'pg', connection: MAIN_DATABASE_URL }),
  // Only a secondary has one.
  ...(TRACKING_DATABASE_URL && { trackingDb: createKnex({ client: 'pg', connection: TRACKING_DATABASE_URL }) }),
  replicables,
  // 32 bytes as hex or base64, the same on all sites: openssl rand -hex 32
  encryptionKey: GEO_ENCRYPTION_KEY,
  // An unleash-client instance as \`features\` switches each type by a flag; without, a type is on once it is \`released\`.
  // \`authorize\` opens the admin pages and the APIs; without, nobody may.
}`,
      ...(style.kind === 'typescript' ? ['export default options'] : []),
    ],
  )
}

function storeText(style: ModuleStyle): string {
  return moduleText(
    style,
    [{ from: 'express-geo-replication', names: ['localDisk'] }],
    [
      `/** Where the files of this site lie. geo.config does not let a site begin without BLOBS_DIR; specs use folders of their own. */
${exported(style)}const store = localDisk({ root: ${typed(style, "process.env['BLOBS_DIR']") || 'process.env.BLOBS_DIR'} ?? 'blobs' })`,
    ],
    ['store'],
  )
}

function geoText(style: ModuleStyle): string {
  return moduleText(
    style,
    [
      { from: 'express-geo-replication', names: ['createGeo'] },
      { from: `../geo.config${style.importExtension}`, default: 'options' },
    ],
    [
      `/** What the app mounts: \`app.use(geo.router)\`, \`await geo.start()\`, \`await geo.stop()\`. */
${exported(style)}const geo = createGeo(options)`,
    ],
    ['geo'],
  )
}
