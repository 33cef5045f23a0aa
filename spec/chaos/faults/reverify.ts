import { until } from '../../support/until.ts'
import { rowsOf } from '../databases.ts'
import type { Site } from '../site.ts'
import type { World } from '../world.ts'

const UNJUDGED = `select 1 from widget_states where verification_state in (0, 1)
  union all select 1 from gadgets where verification_state in (0, 1)`

/** Has a site hash all its files again; resolves once they wait for it. What went wrong with that, in a sentence. */
export async function reverify(site: Site): Promise<string[]> {
  const { exitCode, complaints } = await site.command(['reverify', '--all'])
  return exitCode === 0 ? [] : [`${site.name}: geo reverify --all ended with ${exitCode}: ${complaints}`]
}

/** The primary has judged all its files. */
export async function untilJudged({ databases }: World, timeoutMs: number): Promise<void> {
  await until(async () => (await rowsOf(databases.primary.url, UNJUDGED)).length === 0, timeoutMs, 'the primary')
}
