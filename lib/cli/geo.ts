#!/usr/bin/env node
import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { GeoError, messageOf } from '../errors.ts'
import { repairCommand } from './repair.ts'
import { siteCommand } from './site.ts'
import { verifyCommand } from './verify.ts'
import { workCommand } from './work.ts'

async function version(): Promise<string> {
  // From lib in the repository, from dist/lib in the package.
  for (const path of ['../../package.json', '../../../package.json']) {
    const text = await readFile(new URL(path, import.meta.url), 'utf8').catch(() => null)
    if (text !== null) return (JSON.parse(text) as { version: string }).version
  }
  return 'unknown'
}

const program = new Command('geo')
  .description('Operates the replication of blobs between the sites of this host.')
  .version(await version())
  .addCommand(siteCommand())
  .addCommand(verifyCommand())
  .addCommand(repairCommand())
  .addCommand(workCommand())

try {
  await program.parseAsync()
} catch (reason) {
  process.stderr.write(`geo: ${messageOf(reason)}\n`)
  if (reason instanceof GeoError) process.stderr.write(`${reason.code}: ${reason.advice}\n`)
  process.exitCode ||= 1
}
