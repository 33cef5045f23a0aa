import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { backfillStates, type PassPosition, reverifyDue, wakeNamed } from '../../lib/verification/maintain-states.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addHostRow, secondsFromNow, untyped } from '../support/fixture-rows.ts'
import { addRecord, stateOf } from '../support/primary-records.ts'

const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)
const DAY_S = 86_400

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  for (const table of ['widgets', 'gadgets']) await databases.main(table).delete()
})

async function wholePass(): Promise<{ pages: number; changed: number }> {
  let [pages, changed] = [0, 0]
  for (let position: PassPosition | null = { after: null }; position; pages += 1) {
    const page: Awaited<ReturnType<typeof backfillStates>> = await backfillStates(databases.main, widgets, position)
    changed += page.changed
    position = page.next
  }
  return { pages, changed }
}

describe('The backfill of states', () => {
  it('gives every row with a file a state, and takes it from those without', async () => {
    const { main } = databases
    const known = await addHostRow(main, widgets)
    const fresh = await addHostRow(main, widgets, { id: '-4' })
    const lost = await addHostRow(main, widgets, { filePath: null })
    await addHostRow(main, widgets, { filePath: null })
    await main('widget_states').insert([known, lost].map((id) => ({ widget_id: id, verification_state: V.succeeded })))
    expect(await wholePass()).toEqual({ pages: 1, changed: 2 })
    expect(await main('widget_states').orderBy('widget_id')).toMatchObject([
      { widget_id: fresh, verification_state: V.pending },
      { widget_id: known, verification_state: V.succeeded },
    ])
    expect(await wholePass()).toEqual({ pages: 1, changed: 0 })
  })

  it('goes page by page, also over what lies between them', async () => {
    const { main } = databases
    await main.raw(
      `insert into widgets (id, name, file_path)
       select n, 'w', case when n % 5 <> 0 then 'f' end from generate_series(-500, 2500) n`,
    )
    await main.raw('insert into widget_states (widget_id) select n from generate_series(-500, 2500, 5) n')
    expect(await wholePass()).toEqual({ pages: 3, changed: 2400 + 601 })
    expect(await wholePass()).toEqual({ pages: 3, changed: 0 })
  })
})

describe('Checksums that are older than the interval', () => {
  it.each([
    { type: widgets, table: 'widget_states', key: 'widget_id' },
    { type: gadgets, table: 'gadgets', key: 'id' },
  ])('are asked for again in $table, and no others', async ({ type, table, key }) => {
    const { main } = databases
    const states = [
      { verification_state: V.succeeded, verified_at: secondsFromNow(main, -8 * DAY_S) },
      { verification_state: V.succeeded, verified_at: secondsFromNow(main, -6 * DAY_S) },
      { verification_state: V.failed, verified_at: secondsFromNow(main, -8 * DAY_S) },
      {
        verification_state: V.disabled,
        verified_at: secondsFromNow(main, -8 * DAY_S),
        verification_started_at: secondsFromNow(main, 0),
      },
    ]
    const ids: string[] = []
    for (const state of states) {
      const id = await addHostRow(main, type)
      ids.push(id)
      if (type === widgets) await main(table).insert({ widget_id: id, ...state })
      else await main(table).where({ id }).update(state)
    }
    expect(await reverifyDue(main, type, 7)).toBe(false)
    const rows = await main(table).select(key, 'verification_state')
    const byId = new Map(rows.map((row) => [row[key], row.verification_state]))
    expect(ids.map((id) => byId.get(id))).toEqual([V.pending, V.succeeded, V.failed, V.disabled])
  })

  it('are asked for a thousand at a time, the oldest first', async () => {
    const { main } = databases
    await main.raw(`insert into widgets (id, name, file_path) select n, 'w', 'f' from generate_series(1, 1500) n`)
    await main.raw(
      `insert into widget_states (widget_id, verification_state, verified_at)
       select n, ${V.succeeded}, now() - interval '30 days' - n * interval '1 second' from generate_series(1, 1500) n`,
    )
    expect(await reverifyDue(main, widgets, 7)).toBe(true)
    const [left] = await main('widget_states').where({ verification_state: V.succeeded }).max('widget_id').count()
    expect(left).toEqual({ max: '500', count: '500' })
    expect(await reverifyDue(main, widgets, 7)).toBe(false)
  })
})

describe('Records that were disabled because they had no file', () => {
  it.each([widgets, gadgets])('are looked at again an hour later in $name, where they have one', async (type) => {
    const { main } = databases
    const disabled = (seconds: number) => ({
      verification_state: V.disabled,
      verification_started_at: secondsFromNow(main, seconds),
    })
    const old = await addRecord(main, type, 'f', disabled(-3601))
    const recent = await addRecord(main, type, 'f', disabled(-3500))
    const without = type === gadgets ? await addRecord(main, type, null, disabled(-3601)) : null
    if (type === gadgets) await wakeNamed(main, type, { after: null })
    else await reverifyDue(main, type, 7)
    const stateNow = async (id: string) => (await stateOf(main, type, id)).verification_state
    expect(await stateNow(old)).toBe(V.pending)
    expect(await stateNow(recent)).toBe(V.disabled)
    if (without !== null) expect(await stateNow(without)).toBe(V.disabled)
  })

  it('are looked for page by page, where the host’s table holds the state', async () => {
    const { main } = databases
    await main.raw(
      `insert into gadgets (name, file_path, verification_state)
       select 'g', case when n % 2 = 0 then 'f' end, ${V.disabled} from generate_series(1, 12000) n`,
    )
    let [pages, all] = [0, 0]
    for (let after: string | null = null, more = true; more; pages += 1) {
      const { next, woken }: Awaited<ReturnType<typeof wakeNamed>> = await wakeNamed(main, gadgets, { after })
      all += woken
      after = next
      more = after !== null
    }
    expect({ pages, all }).toEqual({ pages: 3, all: 6000 })
    const [left] = await main('gadgets')
      .whereNull('file_path')
      .where({ verification_state: V.disabled })
      .count('* as n')
    expect(left).toEqual({ n: '6000' })
  })
})
