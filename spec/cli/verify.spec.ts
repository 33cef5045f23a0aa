import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { loadSettings } from '../../lib/cli/config.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { writeSiteConfig } from '../support/cli.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites } from '../support/fixture-rows.ts'
import { commandWith } from '../support/in-process-cli.ts'
import { digestOf } from '../support/verifying-site.ts'

const ROWS = 50
let databases: SpecDatabases
let folder: string
const geo = commandWith(async () => {
  const settings = await loadSettings(join(folder, 'geo.config.mjs'))
  return { settings, close: async () => undefined }
})

beforeAll(async () => {
  databases = await createSpecDatabases()
  folder = await mkdtemp(join(tmpdir(), 'geo-cli-verify-'))
  const { main, mainUrl } = databases
  await addSites(main, 'tokyo')
  await writeSiteConfig(folder, 'geo.config.mjs', { siteName: 'rome', mainUrl, blobsDir: folder })
  await writeFile(join(folder, 'f'), 'good')
  await main.raw(`insert into widgets (id, name, file_path) select n, 'w', 'f' from generate_series(1, ${ROWS}) n`)
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verification_checksum)
     select n, ${V.succeeded}, ? from generate_series(1, ${ROWS}) n`,
    [encodeDigest(await digestOf('good'))],
  )
})
afterAll(async () => {
  await databases.destroy()
  await rm(folder, { recursive: true, force: true })
})

describe('geo verify --sample', () => {
  it('ends with 0 where none is bad, and states the bound', async () => {
    const ended = await geo('verify', '--sample', '20', '--type', 'widget', '--seed', '5')
    expect(ended).toEqual({
      status: 0,
      stdout: `widget: 20 of ${ROWS} verified files hashed, 0 bad; with 95 % confidence at most 13.92 % of all are bad (seed 5)\n`,
      stderr: '',
    })
  })

  it('ends with 2 and a word on standard error where it could not be done', async () => {
    const ended = await geo('verify', '--sample', '1%', '--type', 'wodget')
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr).toMatch(/^geo: No type is named "wodget"; declared: widget, gadget\nUNKNOWN_REPLICABLE: /)
  })

  it('ends with 1 where some are bad, and names them', async () => {
    const { main } = databases
    await writeFile(join(folder, 'rotten'), 'rotten')
    await main('widgets').where({ id: 7 }).update({ file_path: 'rotten' })
    const asJson = await geo('verify', '--sample', '100%', '--json')
    expect(asJson.status).toBe(1)
    const bad = { id: '7', code: 'CORRUPT_ON_PRIMARY', message: expect.stringMatching(/^Widget #7 has other bytes/) }
    expect(JSON.parse(asJson.stdout)).toEqual([
      {
        type: 'widget',
        seed: expect.any(Number),
        total: ROWS,
        examined: ROWS,
        bad: 1,
        confidence: 0.95,
        worstShare: 1 / ROWS,
        badRecords: [bad],
      },
      expect.objectContaining({ type: 'gadget', total: 0, bad: 0 }),
    ])
    await main('widget_states').update({ verification_state: V.succeeded })
    const { stdout } = await geo('verify', '--sample', '100%')
    expect(stdout).toMatch(/ at most 2 % of all .*\n {2}#7 CORRUPT_ON_PRIMARY: .*\ngadget: no verified files\n$/)
  })

  it('explains itself', async () => {
    const { stdout, status } = await geo('verify', '--help')
    expect(status).toBe(0)
    for (const word of ['--sample <size>', '--type <name>', '--seed <number>', '--json', '--config', 'Exit codes:']) {
      expect(stdout).toContain(word)
    }
  })
})
