import { Command } from 'commander'
import type { CommandLine } from './command-line.ts'
import { generateSiteConfigCommand } from './generate-site-config.ts'
import { generateTriggersCommand } from './generate-triggers.ts'
import { generateTypeCommand } from './generate-type.ts'

export function generateCommand(cli: CommandLine): Command {
  return new Command('generate')
    .description('Writes the files that a host needs, in its own style of module and into its own folders.')
    .addCommand(generateSiteConfigCommand(cli))
    .addCommand(generateTypeCommand(cli))
    .addCommand(generateTriggersCommand(cli))
}
