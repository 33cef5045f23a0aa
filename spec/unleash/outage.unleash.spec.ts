import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { flagDefinition } from '../../lib/generate/flag-definition.ts'
import { type DatabaseGate, gateTo } from '../support/database-gate.ts'
import { type FlaggedSite, type FlaggedSites, startFlaggedSites } from '../support/flagged-sites.ts'
import { type UnleashServer, unleashWithout } from '../support/unleash-server.ts'

const FLAG = 'geo_widget_replication'

describe('While Unleash cannot be reached', () => {
  let unleash: UnleashServer
  /** Shut, nothing listens at the address of the server. */
  let line: DatabaseGate
  let sites: FlaggedSites
  let empty: string

  beforeAll(async () => {
    unleash = await unleashWithout(FLAG)
    line = await gateTo(unleash.url)
    await line.open()
    sites = await startFlaggedSites({ ...unleash, url: line.url })
    empty = await mkdtemp(join(tmpdir(), 'geo-flags-'))
    await unleash.import(flagDefinition(sites.rome.widgets.names, { sites: ['paris'] }))
    await unleash.switchOn(FLAG)
    await Promise.all(sites.all.map((site) => site.knows(FLAG, (flag) => flag?.enabled === true)))
    await line.shut()
  })
  afterAll(async () => {
    await sites?.close()
    await line?.shut()
    await rm(empty, { recursive: true, force: true })
  })

  const areOn = () => sites.all.map(({ name, isOn }) => `${name} ${isOn ? 'on' : 'off'}`).join(', ')
  /** A start that finds no last known state. */
  const withoutBackup = (name: string) => ({ UNLEASH_BACKUP_DIR: join(empty, name) })

  // A client asks three seconds long before it gives up: all of them at the same time.
  it.concurrent('flags stay as they were', async () => {
    // The second of two failures in a row was asked for after the line was shut.
    const failed = ({ flags }: FlaggedSite) => once(flags.client, 'error').then(() => once(flags.client, 'error'))
    await Promise.all(sites.all.map(failed))
    expect(areOn()).toBe('rome on, paris on, oslo off')
  })

  it.concurrent('a process that begins now has them as they were last known, whatever its bootstrap says', async () => {
    const bootstrap = join(empty, 'all-off.json')
    await writeFile(bootstrap, JSON.stringify({ features: [{ name: FLAG, enabled: false, strategies: [] }] }))
    const environment = { FEATURES_FILE: bootstrap }
    const begun = await Promise.all([sites.paris, sites.oslo].map((site) => sites.another(site, { environment })))
    expect(begun.map(({ isOn }) => isOn)).toEqual([true, false])
  })

  it.concurrent('one that has never known them takes its bootstrap', async () => {
    const bootstrap = join(empty, 'all-on.json')
    const strategies = [{ name: 'default' }]
    await writeFile(bootstrap, JSON.stringify({ features: [{ name: FLAG, enabled: true, strategies }] }))
    const oslo = await sites.another(sites.oslo, {
      environment: { ...withoutBackup('bootstrapped'), FEATURES_FILE: bootstrap },
    })
    expect(oslo.isOn).toBe(true)
  })

  it.concurrent('one that has no bootstrap either is as its declaration says', async () => {
    const begun = await Promise.all([
      sites.another(sites.paris, { environment: withoutBackup('unreleased') }),
      sites.another(sites.oslo, { environment: withoutBackup('released'), released: '0.2.0' }),
    ])
    expect(begun.map(({ isOn }) => isOn)).toEqual([false, true])
  })

  it('is over, everybody follows it again', async () => {
    await unleash.switchOff(FLAG)
    await line.open()
    await Promise.all(sites.all.map((site) => site.knows(FLAG, (flag) => flag?.enabled === false)))
    expect(areOn()).toBe('rome off, paris off, oslo off')
  })
})
