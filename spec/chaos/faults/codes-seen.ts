import { setTimeout as sleep } from 'node:timers/promises'
import { TYPE_NAMES, TYPES } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import type { World } from '../world.ts'

const LOOK_EVERY_MS = 100

/** The codes that failures have from now on until it is called, in registries and logs, and those failures that have none. */
export function watchCodes(world: World): () => Promise<{ seen: Set<string>; untyped: string[] }> {
  const seen = new Set<string>()
  const untyped = new Set<string>()
  const members = world.secondaries.flatMap((site) => site.members)
  const from = new Map(members.map((member) => [member, member.output.length]))
  let ended = false
  const watching = (async () => {
    while (!ended) {
      for (const { code, failure } of await failures(world)) {
        if (code === null) untyped.add(failure)
        else seen.add(code)
      }
      await sleep(LOOK_EVERY_MS)
    }
  })()
  return async () => {
    ended = true
    await watching
    for (const [member, start] of from) {
      for (const line of member.output.slice(start).split('\n')) {
        // What periodic jobs meet meanwhile is no transfer.
        const [, code] = line.includes('"job":') ? [] : (/"code":"([A-Z_]+)"/.exec(line) ?? [])
        if (code) seen.add(code)
      }
    }
    return { seen, untyped: [...untyped] }
  }
}

async function failures({ databases }: World): Promise<{ code: string | null; failure: string }[]> {
  const found: { code: string | null; failure: string }[] = []
  for (const { tracking } of databases.secondaries) {
    for (const type of TYPE_NAMES) {
      const failure = 'coalesce(last_sync_failure, verification_failure)'
      const statement = `select distinct error_code as code, ${failure} as failure from ${TYPES[type].registry} where ${failure} is not null`
      found.push(...(await rowsOf<{ code: string | null; failure: string }>(tracking.url, statement)))
    }
  }
  return found
}
