import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ENCRYPTION_KEY } from './fixture-rows.ts'

export interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

const PROGRAM = fileURLToPath(new URL('../../lib/cli/geo.ts', import.meta.url))
const TYPES = new URL('../../fixtures/widget-app/replicables.ts', import.meta.url).href
const TIMEOUT_MS = 90_000

/** The command `geo` as an operator runs it: a process of its own, in a folder with a config file. */
export function geo(folder: string, ...args: string[]): Promise<Ended> {
  return geoWith({}, folder, ...args)
}

/** The same, with variables added to its environment. */
export function geoWith(
  environment: Readonly<Record<string, string>>,
  folder: string,
  ...args: string[]
): Promise<Ended> {
  const options = { cwd: folder, timeout: TIMEOUT_MS, env: { ...process.env, ...environment } }
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, ...args], options, (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code ?? -1) : 0, stdout, stderr })
    })
  })
}

export interface ConfigOfSite {
  readonly siteName: string
  readonly mainUrl: string
  readonly trackingUrl?: string
  readonly blobsDir: string
  readonly encryptionKey?: string
}

/** The config of a site of widget-app, both types of which are on. */
export async function writeSiteConfig(folder: string, name: string, site: ConfigOfSite): Promise<void> {
  const pool = (url: string) => `createKnex({ client: 'pg', connection: ${JSON.stringify(url)} })`
  const text = `import createKnex from ${JSON.stringify(import.meta.resolve('knex'))}
    import { declareReplicables } from ${JSON.stringify(TYPES)}
    const { widgets, gadgets } = declareReplicables(${JSON.stringify(site.blobsDir)})
    export default {
      siteName: ${JSON.stringify(site.siteName)},
      mainDb: ${pool(site.mainUrl)},
      ${site.trackingUrl === undefined ? '' : `trackingDb: ${pool(site.trackingUrl)},`}
      replicables: [widgets, gadgets],
      features: { isEnabled: () => true },
      encryptionKey: ${JSON.stringify(site.encryptionKey ?? ENCRYPTION_KEY.toString('hex'))},
    }`
  await writeFile(join(folder, name), text)
}
