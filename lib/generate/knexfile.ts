import { moduleText } from './code.ts'
import type { FileToWrite } from './file-change.ts'
import type { Host } from './host.ts'
import type { ModuleStyle } from './module-style.ts'

/**
 * A knexfile with an environment for each database. In JavaScript whatever the host's style, because Knex's own loader of
 * TypeScript needs more packages, and under the only names that Knex looks for.
 */
export function knexfileText(
  { kind, jsIsEsm }: ModuleStyle,
  migrations: Readonly<Record<'main' | 'tracking', string>>,
): FileToWrite {
  const isEsm = jsIsEsm || kind === 'esm'
  const style: ModuleStyle = {
    kind: isEsm ? 'esm' : 'commonjs',
    extension: isEsm && !jsIsEsm ? '.mjs' : '.js',
    importExtension: '.js',
    jsIsEsm,
  }
  const folder = isEsm ? 'fileURLToPath(new URL(folder, import.meta.url))' : 'join(__dirname, folder)'
  return {
    path: `knexfile${style.extension}`,
    text: moduleText(
      style,
      [
        isEsm ? { from: 'node:url', names: ['fileURLToPath'] } : { from: 'node:path', names: ['join'] },
        { from: 'express-geo-replication', names: ['migrationFolders'] },
      ],
      [
        `/** The two databases never mix: \`npx knex migrate:latest --env main\`, and the same for \`tracking\`. */
function environment(connection, foldersOfSdk, folder) {
  return {
    client: 'pg',
    connection,
    migrations: {
      // The SDK's own tables first, then what this host builds on them.
      directory: [foldersOfSdk, ${folder}],
      sortDirsSeparately: true,
      loadExtensions: ['.js', '.cjs', '.mjs', '.ts'],
    },
  }
}`,
        `${isEsm ? 'export default' : 'module.exports ='} {
  main: environment(process.env.MAIN_DATABASE_URL, migrationFolders.main, './${migrations.main}'),
  tracking: environment(process.env.TRACKING_DATABASE_URL, migrationFolders.tracking, './${migrations.tracking}'),
}`,
      ],
    ),
  }
}

/** The types of a knexfile in JavaScript, for the specs of a host in TypeScript; none for one that has its own. */
export function knexfileTypes({ knexfile, mainEnvironment, style }: Host, written: string): FileToWrite[] {
  const name = knexfile ?? written
  if (name.endsWith('.ts')) return []
  const environments = (names: string): string => `Record<${names}, Knex.Config>`
  const type =
    mainEnvironment === null
      ? `Knex.Config & ${environments("'tracking'")}`
      : environments(`'${mainEnvironment}' | 'tracking'`)
  const isEsm = name.endsWith('.mjs') || (name.endsWith('.js') && style.jsIsEsm)
  return [
    {
      path: name.replace(/\.([cm]?)js$/, '.d.$1ts'),
      text: `import type { Knex } from 'knex'\n\ndeclare const config: ${type}\nexport ${isEsm ? 'default' : '='} config\n`,
    },
  ]
}
