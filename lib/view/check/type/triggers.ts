import type { Knex } from 'knex'
import type { Replicable } from '../../../blob/replicable.ts'
import { run } from '../../../databases.ts'
import { readSwitch } from '../../../event/switch-table.ts'
import { CHANGES, triggerName } from '../../../triggers/event-triggers.ts'
import { quoteTable } from '../../../verification/live-table.ts'
import { type Check, no, skipped, yes } from '../outcome.ts'
import type { TypeCheckSources } from './sources.ts'

/** On the primary: the event triggers are an offer, yet half of them is a fault. */
export function triggersTell({ gate }: TypeCheckSources, main: Knex, replicable: Replicable): Check {
  const { name, table } = replicable
  const anew = 'Call `createEventTriggers` in a migration again: `geo generate triggers` writes one.'
  return {
    name: `Triggers tell of what others write to ${table}`,
    async ask() {
      const names = CHANGES.map((change) => triggerName(name, change))
      const { rows } = await run<{ rows: { name: string; off: boolean }[] }>(
        main,
        `select tgname::text as name, tgenabled not in ('O', 'A') as off from pg_trigger
         where tgrelid = ?::regclass and tgname = any(?)`,
        [quoteTable(table), names],
      )
      if (rows.length === 0) return skipped('There are none: only what the host tells of is told')
      const missing = names.filter((wanted) => !rows.some((row) => row.name === wanted))
      if (missing.length > 0) return no(`${missing.join(', ')} is missing`, anew)
      const off = rows.filter((row) => row.off)
      if (off.length > 0) {
        return no(`${off.map((row) => row.name).join(', ')} is disabled`, `alter table ${table} enable trigger …`)
      }
      const isOn = gate.replicationEnabled(replicable)
      if (isOn !== (await readSwitch(main, name))) {
        return no(
          `They take the flag to be ${isOn ? 'off' : 'on'}`,
          'A working process of the primary writes `geo_switches` every few seconds: see that one runs.',
        )
      }
      return yes(isOn ? null : 'and rest, for the flag is off')
    },
  }
}
