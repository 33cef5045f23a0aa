import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { stateTableOf } from '../../lib/blob/primary-checksum.ts'
import { bounded } from '../../lib/databases.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { untyped } from '../support/fixture-rows.ts'
import { addRecord, stateOf } from '../support/primary-records.ts'

const declared = declareReplicables('unused')
const types = [
  ['separate', untyped(declared.widgets)],
  ['columns', untyped(declared.gadgets)],
] as const

let databases: SpecDatabases
let main: Knex
beforeAll(async () => {
  databases = await createSpecDatabases()
  main = databases.main
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  for (const table of ['widgets', 'gadgets']) await main(table).delete()
})

describe.each(types)(
  'On the primary, with the state kept as %s, whoever writes what came of a batch',
  (_, replicable) => {
    const tracker = () => primaryVerification(main, async () => undefined)
    const { table, key } = stateTableOf(replicable)

    /** Records that are being hashed. */
    async function claimed() {
      const ids = [await addRecord(main, replicable, 'a'), await addRecord(main, replicable, 'b')]
      const records = await bounded(main, (trx) => tracker().claim(trx, replicable, 10))
      expect(records.map(({ id }) => id).sort()).toEqual([...ids].sort())
      return { ids, records }
    }

    it.each([
      ['records verdicts', 'record'],
      ['gives it back', 'giveBack'],
      ['takes it over', 'takeOver'],
    ] as const)(
      'gives way where it %s and the host has one of its rows locked: before a deadlock is looked for',
      async (_, how) => {
        const { ids, records } = await claimed()
        const write = async (trx: Knex.Transaction): Promise<unknown> => {
          const { record, giveBack, takeOver } = tracker()
          if (how === 'giveBack') return giveBack(trx, replicable, ids)
          if (how === 'takeOver') return takeOver(trx, replicable, ids, 1)
          const verdicts = ids.map((id) => ({ id, outcome: 'disabled' }) as const)
          return record(trx, replicable, records, verdicts)
        }
        await main.transaction(async (host) => {
          await host(table)
            .where({ [key]: ids[1] })
            .forUpdate()
            .select(key)
          await expect(bounded(main, write)).rejects.toMatchObject({ code: '55P03' })
          // The host gets all that it asks for next.
          await host(table)
            .where({ [key]: ids[0] })
            .forUpdate()
            .select(key)
        })
        await bounded(main, write)
        for (const id of ids) expect((await stateOf(main, replicable, id)).verification_state).not.toBe(V.started)
      },
    )
  },
)
