#!/usr/bin/env node
import { Command } from 'commander'
import { GeoError, messageOf } from '../errors.ts'
import { VERSION } from '../version.ts'
import { repairCommand } from './repair.ts'
import { siteCommand } from './site.ts'
import { verifyCommand } from './verify.ts'
import { workCommand } from './work.ts'

const program = new Command('geo')
  .description('Operates the replication of blobs between the sites of this host.')
  .version(VERSION)
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
