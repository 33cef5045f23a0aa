import { afterAll, beforeAll, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { untyped } from '../support/fixture-rows.ts'
import { addRecord, stateOf } from '../support/primary-records.ts'
import { createVerifyingSite, type VerifyingSite } from '../support/verifying-site.ts'

let databases: SpecDatabases
let site: VerifyingSite

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await createVerifyingSite()
})
afterAll(async () => {
  await site?.close()
  await databases?.destroy()
})

it('What triggers of the host ask, when its own table holds the state, is planned as ever', async () => {
  const { main } = databases
  const gadgets = untyped(declareReplicables(site.root).gadgets)
  await main.raw('create table planned (ways text not null)')
  await main.raw(`create function note_plan() returns trigger language plpgsql as $$ begin
    insert into planned select string_agg(current_setting('enable_' || way), ',')
      from unnest(array['seqscan', 'hashjoin', 'mergejoin']) as way;
    return null;
  end $$`)
  await main.raw('create trigger note_plan after update on gadgets for each row execute function note_plan()')
  await site.writeBlob('f', 'bytes')
  const id = await addRecord(main, gadgets, 'f')
  await main('planned').delete()
  expect(
    await site.verify(
      main,
      primaryVerification(main, async () => undefined),
      gadgets,
    ),
  ).toBe(1)
  expect(await stateOf(main, gadgets, id)).toMatchObject({ verification_state: V.succeeded })
  // Of the claim, and of the verdict.
  expect(await main('planned').pluck('ways')).toEqual(['on,on,on', 'on,on,on'])
})
