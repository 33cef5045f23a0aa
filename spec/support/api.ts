import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { Extractor, ExtractorConfig, ExtractorLogLevel, type ExtractorMessage } from '@microsoft/api-extractor'
import { type Entry, entries, ROOT } from './entries.ts'
import { lineDiff } from './line-diff.ts'

/**
 * Writes docs/api, which says what hosts can import, from the declarations of the build; with --check compares it and exits 1 on a
 * difference. What a reviewer sees of it is what hosts will see of a change.
 */
const FOLDER = join(ROOT, 'docs/api')

const reportOf = ({ subpath }: Entry): string => `${subpath === '.' ? 'index' : basename(subpath)}.api.md`

/** The text of each report by its name. */
async function reports(): Promise<Record<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'geo-api-'))
  try {
    const texts: Record<string, string> = {}
    for (const entry of entries()) {
      extract(entry, folder)
      texts[reportOf(entry)] = await readFile(join(folder, reportOf(entry)), 'utf8')
    }
    return texts
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function extract(entry: Entry, folder: string): void {
  const declarations = join(ROOT, `${entry.path}.d.ts`)
  const silent = { default: { logLevel: ExtractorLogLevel.None } }
  const compilerOptions = {
    module: 'nodenext',
    moduleResolution: 'nodenext',
    target: 'es2024',
    lib: ['es2024'],
    types: ['node'],
    strict: true,
  }
  const config = ExtractorConfig.prepare({
    packageJsonFullPath: join(ROOT, 'package.json'),
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: ROOT,
      mainEntryPointFilePath: declarations,
      compiler: { overrideTsconfig: { compilerOptions, files: [declarations] } },
      apiReport: {
        enabled: true,
        reportFolder: folder,
        reportTempFolder: join(folder, 'new'),
        reportFileName: reportOf(entry),
        includeForgottenExports: true,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      // Our comments are not in its dialect.
      messages: { extractorMessageReporting: silent, tsdocMessageReporting: silent },
    },
  })
  const problems: string[] = []
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback(message: ExtractorMessage) {
      if (message.category === 'Compiler') problems.push(message.text)
      message.handled = true
    },
  })
  if (problems.length > 0) throw new Error(`${basename(dirname(declarations))}: ${problems.join('\n')}`)
}

const { values } = parseArgs({ options: { check: { type: 'boolean' } } })
const texts = await reports()
if (values.check) {
  const there = await readdir(FOLDER).catch((): string[] => [])
  const names = [...new Set([...there, ...Object.keys(texts)])].sort()
  const found: string[] = []
  for (const name of names) {
    const text = there.includes(name) ? await readFile(join(FOLDER, name), 'utf8') : ''
    if (text !== texts[name]) found.push(`docs/api/${name}:\n${lineDiff(text, texts[name] ?? '')}`)
  }
  if (found.length > 0) {
    console.error(`${found.join('\n')}\nWhat hosts can import has changed: if it should, run npm run api and commit it`)
    process.exitCode = 1
  }
} else {
  await rm(FOLDER, { recursive: true, force: true })
  await mkdir(FOLDER, { recursive: true })
  for (const [name, text] of Object.entries(texts)) await writeFile(join(FOLDER, name), text)
}
