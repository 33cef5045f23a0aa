import { type AssembledSite, assembleSecondary } from './assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from './databases.ts'
import { type StagedServer, stageServer } from './staged-server.ts'

/** A process of the secondary `paris` on databases of its own, and a primary that answers as the spec says. */
export interface StagedSecondary {
  readonly databases: SpecDatabases
  readonly primary: StagedServer
  readonly site: AssembledSite
  close(): Promise<void>
}

export async function stageSecondary(): Promise<StagedSecondary> {
  const databases = await createSpecDatabases()
  const primary = await stageServer()
  const site = await assembleSecondary(databases, { primaryUrl: primary.url })
  return {
    databases,
    primary,
    site,
    async close() {
      await site.close()
      await primary.close()
      await databases.destroy()
    },
  }
}
