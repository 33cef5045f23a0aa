import type { Command } from 'commander'
import { CommandLine } from '../../../lib/cli/command-line.ts'
import { geoProgram } from '../../../lib/cli/program.ts'
import { page } from './markdown.ts'

/** The help of every command, as the command itself prints it. */
export function commandReference(): string {
  const silent = { write: () => undefined }
  const surroundings = {
    stdout: silent,
    stderr: silent,
    environment: {},
    folder: '.',
    ask: null,
    load: () => Promise.reject(new Error('No command is run')),
    standBack: () => undefined,
    onInterrupt: () => () => undefined,
  }
  return page(
    'The command geo',
    'Run it as `npx geo` in the folder of `geo.config.ts` (or `.js`), which exports the options of `createGeo` as default. Answers go to standard output, progress and errors to standard error; an error says its code and what to do. Everything that has `--json` prints one JSON value. What Node has compiled is kept for the next command in `~/.cache/express-geo-replication` (`XDG_CACHE_HOME`, `NODE_COMPILE_CACHE`); with `NODE_DISABLE_COMPILE_CACHE=1` nothing is.',
    ...sections(geoProgram(new CommandLine(surroundings)), []),
  )
}

function sections(command: Command, above: readonly string[]): string[] {
  const path = [...above, command.name()]
  const own = `## ${path.join(' ')}\n\n\`\`\`\n${helpOf(command)}\n\`\`\``
  return [own, ...command.commands.flatMap((sub) => sections(sub, path))]
}

function helpOf(command: Command): string {
  const texts: string[] = []
  command.configureOutput({ writeOut: (text) => void texts.push(text), getOutHelpWidth: () => 120 })
  command.outputHelp()
  return texts.join('').trimEnd()
}
