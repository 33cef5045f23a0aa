import { until } from '../../support/until.ts'
import { rowsOf } from '../databases.ts'
import type { KnownRecord } from '../ledger.ts'
import type { Site } from '../site.ts'
import type { World } from '../world.ts'

/** So long a hundred thousand and more may take to be marked by processes whose calls are looked at. */
const MARKED_WITHIN_MS = 900_000

const UNJUDGED = `select 1 from widget_states where verification_state in (0, 1)
  union all select 1 from gadgets where verification_state in (0, 1)`

/** Has a site hash all its files again; resolves once they wait for it. What went wrong with that, in a sentence. */
export async function reverify(site: Site): Promise<string[]> {
  return command(site, 'reverify', ['--all'])
}

/** Has a site hash the files of these records again, or fetch them. */
export async function askAnew(
  site: Site,
  what: 'reverify' | 'resync',
  records: readonly KnownRecord[],
): Promise<string[]> {
  const violations: string[] = []
  for (const [table, some] of Map.groupBy(records, ({ type }) => type)) {
    violations.push(...(await command(site, what, [table.slice(0, -1), ...some.flatMap(({ id }) => ['--id', id])])))
  }
  return violations
}

async function command(site: Site, what: string, args: readonly string[]): Promise<string[]> {
  const { exitCode, complaints } = await site.command([what, ...args], MARKED_WITHIN_MS)
  return exitCode === 0 ? [] : [`${site.name}: geo ${what} ${args[0]} ended with ${exitCode}: ${complaints}`]
}

/** The primary has judged all its files. */
export async function untilJudged({ databases }: World, timeoutMs: number): Promise<void> {
  await until(async () => (await rowsOf(databases.primary.url, UNJUDGED)).length === 0, timeoutMs, 'the primary')
}
