import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables, type Replicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { facadeOf } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { updateSite } from '../../lib/site-table.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { until } from '../support/until.ts'
import { digestOf } from '../support/verifying-site.ts'

const ROWS = 500
const EVERY_BAD = 50
const BAD = ROWS / EVERY_BAD

let databases: SpecDatabases
let roots: Record<Role, string>
let types: Record<Role, Replicables>
let assembly: Assembly
let flagIsOn: boolean

/** A store of two files: rows may share them. */
async function createRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'geo-sample-'))
  await writeFile(join(root, 'good'), 'good')
  await writeFile(join(root, 'rotten'), 'rotten')
  return root
}

beforeAll(async () => {
  databases = await createSpecDatabases()
  roots = { primary: await createRoot(), secondary: await createRoot() }
  types = { primary: declareReplicables(roots.primary), secondary: declareReplicables(roots.secondary) }
  await addSites(databases.main, 'tokyo')
  const { main } = databases
  await main.raw(
    `insert into widgets (id, name, file_path)
     select n, 'w', case when n % ${EVERY_BAD} = 0 then 'rotten' else 'good' end from generate_series(1, ${ROWS}) n`,
  )
})
afterAll(async () => {
  await databases.destroy()
  for (const root of Object.values(roots)) await rm(root, { recursive: true, force: true })
})
beforeEach(async () => {
  const { main, tracking } = databases
  flagIsOn = true
  const checksum = encodeDigest(await digestOf('good'))
  await main('widget_states').delete()
  await tracking('widget_registry').delete()
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verified_at, verification_checksum)
     select n, ${V.succeeded}, '2020-01-01', ? from generate_series(1, ${ROWS}) n`,
    [checksum],
  )
  await tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, verification_state, verified_at, verification_checksum, blob_key)
     select n, now(), 2, ${V.succeeded}, '2020-01-01', ?, case when n % ${EVERY_BAD} = 0 then 'rotten' else 'good' end
     from generate_series(1, ${ROWS}) n`,
    [checksum],
  )
  await databases.caughtUp()
})
afterEach(() => assembly?.stop())

const SITES = { primary: 'rome', secondary: 'tokyo' } as const
type Role = keyof typeof SITES

function siteOf(role: Role) {
  assembly = assemble(
    parseOptions({
      siteName: SITES[role],
      mainDb: role === 'primary' ? databases.main : databases.standby,
      ...(role === 'secondary' && { trackingDb: databases.tracking }),
      replicables: [types[role].widgets, types[role].gadgets],
      features: { isEnabled: () => flagIsOn },
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      logger: recordingLogger(),
      threads: 2,
      work: false,
    }),
  )
  return facadeOf(assembly)
}

/** The site's own rows, in one shape. */
async function rowsOf(role: Role): Promise<{ id: string; verification_state: number; verified_at: Date }[]> {
  const table = role === 'primary' ? databases.main('widget_states') : databases.tracking('widget_registry')
  const rows = await table.orderBy('widget_id')
  return rows.map((row) => ({ ...row, id: row.widget_id }))
}

describe.each(['primary', 'secondary'] as const)('Sampled verification on a %s', (role) => {
  it('of all finds each bad file, records every verdict, and leaves nothing open', async () => {
    const [widgets, gadgets] = await siteOf(role).verifySample({ sample: '100%' })
    expect(widgets).toMatchObject({
      type: 'widget',
      total: ROWS,
      examined: ROWS,
      bad: BAD,
      confidence: 0.95,
      worstShare: BAD / ROWS,
    })
    expect(widgets?.badRecords).toHaveLength(BAD)
    const code = role === 'primary' ? 'CORRUPT_ON_PRIMARY' : 'VERIFICATION_MISMATCH'
    expect(widgets?.badRecords[0]).toMatchObject({ code, message: expect.stringContaining('{') })
    expect(gadgets).toMatchObject({ type: 'gadget', total: 0, examined: 0, bad: 0, worstShare: 0 })

    const rows = await rowsOf(role)
    for (const { id, verification_state, verified_at } of rows) {
      expect(verification_state).toBe(Number(id) % EVERY_BAD === 0 ? V.failed : V.succeeded)
      expect(verified_at.getFullYear()).toBeGreaterThan(2020)
    }
    if (role === 'secondary') {
      // Fetched again at once, like any copy that was good before.
      const due = await databases.tracking('widget_registry').where('retry_at', '<=', databases.tracking.fn.now())
      expect(due).toHaveLength(BAD)
    }
  })

  it('of some hashes so many, and states what they say of all', async () => {
    const seen: number[] = []
    const [result] = await siteOf(role).verifySample({
      sample: 120,
      types: [types[role].widgets],
      onProgress: ({ examined }) => seen.push(examined),
    })
    expect(result).toMatchObject({ total: ROWS, examined: 120 })
    expect(result?.worstShare).toBeGreaterThan((result?.bad ?? 0) / 120)
    expect(seen.at(-1)).toBe(120)
    const touched = (await rowsOf(role)).filter((row) => row.verified_at.getFullYear() > 2020)
    expect(touched).toHaveLength(120)
  })

  it('waits while the verification capacity of the site is used up', async () => {
    const db = role === 'primary' ? databases.main : databases.tracking
    await updateSite(databases.main, SITES[role], { verificationMaxCapacity: 2 })
    await databases.caughtUp()
    // Two types share it: one batch of widgets at a time, and another process has it.
    await db('geo_leases').insert({
      kind: 'verification:widget',
      holder: randomUUID(),
      expires_at: db.raw("now() + interval '1 minute'"),
    })
    let examined = 0
    const sampling = siteOf(role).verifySample({
      sample: 10,
      types: ['widget'],
      onProgress: (progress) => {
        examined = progress.examined
      },
    })
    let attempts = 0
    const pool = role === 'primary' ? assembly.databases.main : assembly.databases.tracking
    pool?.on('query', ({ sql }: { sql: string }) => {
      if (sql.includes('insert into geo_leases')) attempts += 1
    })
    // Each of its workers has been refused more than once.
    await until(() => attempts > 6)
    expect(examined).toBe(0)
    await db('geo_leases').delete()
    expect(await sampling).toMatchObject([{ examined: 10 }])
  })

  it('refuses what it cannot do, with a code', async () => {
    const geo = siteOf(role)
    const refused = (request: Parameters<typeof geo.verifySample>[0]) =>
      geo.verifySample(request).then(
        () => 'done',
        (reason: { code?: unknown }) => reason.code,
      )
    expect(await refused({ sample: '0%' })).toBe('INVALID_REQUEST')
    expect(await refused({ sample: 1, seed: -1 })).toBe('INVALID_REQUEST')
    expect(await refused({ sample: 1, types: ['wodget'] })).toBe('UNKNOWN_REPLICABLE')
    flagIsOn = false
    expect(await refused({ sample: 1, types: ['widget'] })).toBe('TYPE_OFF')
    expect(await geo.verifySample({ sample: 1 })).toEqual([])
  })

  it('ends early when it is told to, and keeps the verdicts it has', async () => {
    const controller = new AbortController()
    const sampling = siteOf(role).verifySample({
      sample: '100%',
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(sampling).rejects.toThrow('enough')
    const touched = (await rowsOf(role)).filter((row) => row.verified_at.getFullYear() > 2020)
    expect(touched.length).toBeGreaterThanOrEqual(100)
    expect(touched.length).toBeLessThan(ROWS)
    expect((await rowsOf(role)).filter((row) => row.verification_state === V.started)).toEqual([])
  })
})
