import { execFile } from 'node:child_process'
import type { Ended } from './cli.ts'

const TIMEOUT_MS = 110_000

/** Runs a program to its end, whatever that is. What is not `cwd` goes into its environment. */
export function exitOf(
  program: string,
  args: readonly string[],
  { cwd, ...environment }: { cwd: string; [variable: string]: string },
): Promise<Ended> {
  // NODE_OPTIONS and vitest's own variables are the runner's, not the program's.
  const { NODE_OPTIONS: _, NODE_TEST_CONTEXT: __, ...own } = process.env
  const options = { cwd, timeout: TIMEOUT_MS, env: { ...own, ...environment }, maxBuffer: 2 ** 26 }
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code ?? -1) : 0, stdout, stderr })
    })
  })
}
