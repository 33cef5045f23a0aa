import { Command, CommanderError } from 'commander'
import { VERSION } from '../version.ts'
import { bulkCommand } from './bulk.ts'
import { checkCommand } from './check.ts'
import { CommandLine, type GlobalOptions } from './command-line.ts'
import { demoteCommand } from './demote.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { explainCommand } from './explain.ts'
import { failuresCommand } from './failures.ts'
import { generateCommand } from './generate.ts'
import { pauseCommand, resumeCommand } from './pause.ts'
import { promoteCommand } from './promote.ts'
import { readOnlyCommand } from './read-only.ts'
import { repairCommand } from './repair.ts'
import { runsCommand } from './runs.ts'
import { siteCommand } from './site.ts'
import { statusCommand } from './status.ts'
import type { Surroundings } from './surroundings.ts'
import { syncCommand } from './sync.ts'
import { verifyCommand } from './verify.ts'
import { waitCommand } from './wait.ts'
import { workCommand } from './work.ts'

/** The command `geo` with all that it can do. */
export function geoProgram(cli: CommandLine): Command {
  const program = new Command('geo')
    .description('Operates the replication of blobs between the sites of this host.')
    .version(VERSION, '--version', 'says the version of the SDK')
    .option(
      '--config <file>',
      'the file that exports the options of createGeo (default: geo.config.ts, .js, .mjs, .cjs)',
    )
    .option('--debug', 'errors with their stack traces')
    .addHelpText(
      'after',
      `
Exit codes of all commands:
  0  done, and the answer is good
  1  done, and the answer is no
  2  it could not be done, or the usage is wrong`,
    )
  const commands = [
    statusCommand(cli),
    checkCommand(cli),
    explainCommand(cli),
    failuresCommand(cli),
    waitCommand(cli),
    syncCommand(cli),
    verifyCommand(cli),
    bulkCommand(cli, 'resync'),
    bulkCommand(cli, 'reverify'),
    runsCommand(cli),
    repairCommand(cli),
    pauseCommand(cli),
    resumeCommand(cli),
    readOnlyCommand(cli),
    promoteCommand(cli),
    demoteCommand(cli),
    siteCommand(cli),
    workCommand(cli),
    generateCommand(cli),
  ]
  for (const command of commands) program.addCommand(command)
  settle(program, cli)
  return program
}

/** What commander would do by itself to the process is done to the surroundings instead, in every command. */
function settle(command: Command, cli: CommandLine): void {
  const { stdout, stderr } = cli.surroundings
  command
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      getOutHelpWidth: () => HELP_COLUMNS,
      getErrHelpWidth: () => HELP_COLUMNS,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({ showGlobalOptions: true })
    .helpOption('-h, --help', 'explains the command')
  for (const sub of command.commands) settle(sub, cli)
}

const HELP_COLUMNS = 120

/** Runs one call of the command to its end. Never throws. */
export async function runGeo(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const cli = new CommandLine(surroundings)
  const program = geoProgram(cli)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return cli.exitCode
  } catch (reason) {
    // Commander has said it already.
    if (reason instanceof CommanderError) return reason.exitCode === 0 ? EXIT.ok : EXIT.notDone
    return cli.fail(reason, program.opts<GlobalOptions>())
  }
}
