import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createEventTriggers } from '../lib/index.ts'
import { step } from '../lib/testing/settle.ts'
import { commandOf } from './support/in-process-cli.ts'
import { type ServedSites, serveSites } from './support/served-sites.ts'
import { until } from './support/until.ts'

let sites: ServedSites
beforeEach(async () => {
  sites = await serveSites()
})
afterEach(() => sites.close())

const main = () => sites.site.databases.main
const geo = (...args: string[]) => commandOf(sites.primary.settings)('read-only', ...args)
const on = (...args: string[]) => geo('on', ...args)
const sealedAt = async (db = main()) =>
  (await db('geo_nodes').where({ primary: true }).first('read_only_sealed_at')).read_only_sealed_at

/** A write of the host whose transaction stays open until `end` is called. */
async function beginWrite(isolationLevel: 'read committed' | 'repeatable read' = 'read committed') {
  const trx = await main().transaction({ isolationLevel })
  // Its snapshot is of now.
  await trx('widgets').first()
  return {
    async write() {
      const [row] = await trx('widgets').insert({ name: 'w', file_path: 'w' }).returning('*')
      await sites.primaryGeo.replicator(sites.site.widgets).created(row, trx)
    },
    end: () => trx.commit(),
    drop: () => trx.rollback(),
  }
}

describe('A primary that is read only', () => {
  it('refuses the writes of the host, says why, and takes them again', async () => {
    await sites.addWidget('before', 'bytes')
    expect(await on('--message', 'Back at noon')).toMatchObject({ status: 0 })
    const refused = { code: 'READ_ONLY_MODE', message: 'Back at noon' }
    await expect(sites.addWidget('meanwhile', 'bytes')).rejects.toMatchObject(refused)
    expect(await main()('widgets').pluck('name')).toEqual(['before'])
    expect(await geo('off')).toMatchObject({ status: 0, stdout: 'The site "rome" takes writes again\n' })
    await sites.addWidget('after', 'bytes')
    const entries = await main()('geo_audit_events').orderBy('id').select('action', 'details', 'outcome')
    expect(entries).toEqual([
      { action: 'site.read_only', details: { switch: 'on' }, outcome: 'done' },
      { action: 'site.read_only', details: { switch: 'off' }, outcome: 'done' },
    ])
  })

  it('refuses what programs write by raw SQL where the table has triggers', async () => {
    const triggers = { table: 'widgets', columns: ['file_path'], verificationState: 'separate' } as const
    await createEventTriggers(main(), 'widget', triggers)
    await main()('geo_switches').insert({ replicable_name: 'widget', enabled: true })
    const insert = () => main().raw(`insert into widgets (name, file_path) values ('w', 'w')`)
    await insert()
    await on()
    await expect(insert()).rejects.toThrow('The site "rome" takes no writes for now')
  })

  it('goes on hashing and telling of it', async () => {
    await main().transaction((trx) => trx('widgets').insert({ name: 'w', file_path: 'w' }))
    await on()
    await step(sites.primary, 'backfill-states')
    await step(sites.primary, 'verify-primary')
    const [state] = await main()('widget_states').select('verification_state')
    // Its file is not there: that it was looked for is what counts.
    expect(state).toEqual({ verification_state: 3 })
  })

  it('is sealed only once every write that was under way has ended', async () => {
    const open = await beginWrite()
    await open.write()
    const waited = await on('--timeout', '0')
    expect(waited).toMatchObject({ status: 1, stdout: expect.stringContaining('one that was under way has not ended') })
    expect(await sealedAt()).toBeNull()
    await expect(sites.addWidget('new', 'bytes')).rejects.toMatchObject({ code: 'READ_ONLY_MODE' })
    const waiting = on()
    await open.end()
    expect(await waiting).toMatchObject({ status: 0 })
    expect(await sealedAt()).not.toBeNull()
    // What the replica shows is all that there will be.
    await until(async () => (await sealedAt(sites.site.databases.standby)) !== null)
    expect(await sites.site.databases.standby('widgets').pluck('name')).toEqual(['w'])
  })

  it('lets no transaction through that has begun before and looks at how things were then', async () => {
    const open = await beginWrite('repeatable read')
    await on()
    await expect(open.write()).rejects.toThrow(/could not serialize access/)
    await open.drop()
    expect(await main()('widgets').pluck('name')).toEqual([])
  })

  it('can be told so only where the primary is', async () => {
    const ended = await commandOf(sites.site.assembly.settings)('read-only', 'on')
    expect(ended).toMatchObject({ status: 2, stderr: expect.stringContaining('NOT_PRIMARY') })
  })
})
