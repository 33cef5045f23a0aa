import type { Knex } from 'knex'
import { run } from '../databases.ts'

/**
 * The flags as the primary has them, where its database can read them: triggers of the host's tables cannot ask. Only what has
 * changed is written, and a type that was never on has no row.
 */
export async function writeSwitches(
  main: Knex,
  switches: readonly { readonly name: string; readonly enabled: boolean }[],
): Promise<void> {
  await run(
    main,
    `insert into geo_switches as s (replicable_name, enabled)
     select w.name, w.enabled from unnest(?::text[], ?::boolean[]) as w(name, enabled)
     left join geo_switches known on known.replicable_name = w.name
     where w.enabled is distinct from coalesce(known.enabled, false)
     on conflict (replicable_name) do update set enabled = excluded.enabled, updated_at = clock_timestamp()`,
    [switches.map(({ name }) => name), switches.map(({ enabled }) => enabled)],
  )
}

/** What the triggers of a type take its flag to be. */
export async function readSwitch(main: Knex, name: string): Promise<boolean> {
  const { rows } = await run<{ rows: { enabled: boolean }[] }>(
    main,
    'select enabled from geo_switches where replicable_name = ?',
    [name],
  )
  return rows[0]?.enabled ?? false
}
