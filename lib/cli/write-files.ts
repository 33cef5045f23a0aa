import { changeOf, type FileChange, type FileToWrite, write } from '../generate/file-change.ts'
import type { Host } from '../generate/host.ts'
import { unifiedDiff } from '../generate/unified-diff.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import type { GenerateOptions } from './generate-options.ts'

export interface ToWrite {
  readonly files: readonly FileToWrite[]
  /** What a person has to add to a file of their own. */
  readonly byHand?: { readonly path: string; readonly lines: readonly string[] } | null
  /** What a person does when it is written, a sentence or a command each. */
  readonly next: readonly string[]
}

/** Shows what a generator would change, asks where a person sits there, and writes it. No file that exists is overwritten. */
export async function writeFiles(
  cli: CommandLine,
  host: Host,
  { files, byHand = null, next }: ToWrite,
  { dryRun, yes, json }: GenerateOptions,
): Promise<ExitCode> {
  const changes = await Promise.all(files.map((file) => changeOf(host, file)))
  const those = (outcome: FileChange['outcome']): FileChange[] => changes.filter((change) => change.outcome === outcome)
  const [fresh, same, differing] = [those('write'), those('same'), those('differs')]
  if (!json) for (const change of [...fresh, ...differing]) cli.print(painted(cli, unifiedDiff(change)))

  const isWritten = !dryRun && (fresh.length === 0 || json || yes || (await isWanted(cli, fresh.length)))
  if (isWritten) for (const change of fresh) await write(host, change)

  if (json) {
    const paths = (of: readonly FileChange[]): string[] => of.map(({ path }) => path)
    cli.printJson({ written: paths(isWritten ? fresh : []), same: paths(same), differing: paths(differing), byHand })
  } else {
    for (const { path } of same) cli.print(`${path} is there already\n`)
    for (const { path } of differing) cli.print(`${cli.paint.bad(path)} is left as it is; above is how it differs\n`)
    if (isWritten) for (const { path } of fresh) cli.print(`${cli.paint.good(path)} is written\n`)
    if (byHand) cli.print(`Add to ${byHand.path} by hand:\n${byHand.lines.map((line) => `  ${line}\n`).join('')}`)
    if (fresh.length === 0 && differing.length === 0 && !byHand) cli.print('Nothing to do\n')
    else if (!isWritten) cli.print('Nothing is written\n')
    else if (fresh.length > 0) cli.print(`\nNext:\n${next.map((step, at) => `${at + 1}. ${step}\n`).join('')}`)
  }
  if (!host.loadsMigrations) {
    cli.note(`${host.knexfile} does not load ${host.style.extension}: name it in \`loadExtensions\` of its migrations`)
  }
  return differing.length > 0 || byHand || !(isWritten || dryRun) ? EXIT.no : EXIT.ok
}

async function isWanted({ surroundings }: CommandLine, count: number): Promise<boolean> {
  if (!surroundings.ask) return true
  const answer = await surroundings.ask(`Write ${count === 1 ? 'this file' : `these ${count} files`}? [Y/n] `)
  return /^(y|yes|)$/i.test(answer.trim())
}

function painted({ paint }: CommandLine, diff: string): string {
  return diff
    .split('\n')
    .map((line) => {
      if (/^(diff|new file|---|\+\+\+|@@)/.test(line)) return line && paint.heading(line)
      if (line.startsWith('+')) return paint.good(line)
      return line.startsWith('-') ? paint.bad(line) : line
    })
    .join('\n')
}
