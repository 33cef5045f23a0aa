import { join } from 'node:path'
import { readIfThere } from '../if-there.ts'
import { declarationText } from './declaration-file.ts'
import { factoryText } from './factory-file.ts'
import { type FileToWrite, placed } from './file-change.ts'
import { flagDefinition } from './flag-definition.ts'
import type { Host } from './host.ts'
import { registryMigration, verificationMigration } from './migration-files.ts'
import { replicablesLines, withType } from './replicables-file.ts'
import { specText } from './spec-file.ts'
import { fileStem, type TypeToWrite } from './type-to-write.ts'

/** What a type needs, and what is left for a person to add where our list of types is not as we wrote it. */
export interface TypeFiles {
  readonly files: readonly FileToWrite[]
  /** Lines and the file that lacks them. */
  readonly byHand: { readonly path: string; readonly lines: readonly string[] } | null
}

export async function typeFiles(host: Host, type: TypeToWrite, replicablesPath: string): Promise<TypeFiles> {
  const { style, specs, specSuffix } = host
  const stem = fileStem(type.names.name)
  const migrations = await placed(host, [registryMigration(style, type), verificationMigration(style, type)])
  const list = (await readIfThere(join(host.folder, replicablesPath))) ?? ''
  const changed = withType(style, list, type)
  const { line, entry } = replicablesLines(style, type)
  const files = [
    { path: `geo/${stem}${style.extension}`, text: declarationText(style, type) },
    ...migrations,
    { path: `geo/flags/${type.names.flag}.json`, text: `${JSON.stringify(flagDefinition(type.names), null, 2)}\n` },
    { path: `${specs}/${stem}-factory${style.extension}`, text: factoryText(style, type) },
    { path: `${specs}/${stem}${specSuffix}${style.extension}`, text: specText(host, type) },
    ...(changed === null ? [] : [{ path: replicablesPath, text: changed, replaces: list }]),
  ]
  return { files, byHand: changed === null ? { path: replicablesPath, lines: [line, `${entry},`] } : null }
}
