import createKnex, { type Knex } from 'knex'
import { afterAll, describe, expect, it } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { ConfigurationError, defineReplicable, type GeoOptions, localDisk } from '../lib/index.ts'
import { stderrLogger } from '../lib/log.ts'
import { parseOptions } from '../lib/options.ts'

// Never asked: a knex instance connects with its first query.
const mainDb: Knex = createKnex({ client: 'pg' })
const otherDb = Object.assign(() => null, { client: { config: { client: 'mysql2' } } })
afterAll(() => mainDb.destroy())

const widgets = defineReplicable({
  name: 'widget',
  table: 'widgets',
  verificationState: 'separate',
  store: localDisk({ root: 'blobs' }),
  blob: () => null,
})
const minimal: GeoOptions = { siteName: 'tokyo', mainDb, replicables: [widgets], encryptionKey: 'ab'.repeat(32) }

function refusalOf(change: object): string {
  try {
    parseOptions({ ...minimal, ...change })
  } catch (reason) {
    expect(reason).toBeInstanceOf(ConfigurationError)
    return `${(reason as ConfigurationError).code} ${(reason as ConfigurationError).message}`
  }
  return 'none'
}

describe('the options of createGeo', () => {
  it('get every default, and nothing is open by it', () => {
    const settings = parseOptions(minimal)
    expect(settings).toMatchObject({
      siteName: 'tokyo',
      trackingDb: null,
      features: null,
      work: true,
      idleTimeoutMs: 60_000,
      syncTimeoutMs: 28_800_000,
      verificationTimeoutMs: 28_800_000,
      threads: null,
      ca: [],
    })
    expect(settings.mainDb).toBe(mainDb)
    expect(settings.logger.warn).toBe(stderrLogger.warn)
    expect(settings.clock.sleep).toBe(systemClock.sleep)
    expect(settings.authorize({} as never, 'read_geo')).toBe(false)
    expect(settings.authorize({} as never, 'admin_geo')).toBe(false)
    expect(Object.isFrozen(settings)).toBe(true)
  })

  it('take a key of 32 bytes in hex or in base64', () => {
    const key = Buffer.alloc(32, 7)
    for (const encryptionKey of [key.toString('hex'), key.toString('hex').toUpperCase(), key.toString('base64')]) {
      expect(parseOptions({ ...minimal, encryptionKey }).encryptionKey.equals(key)).toBe(true)
    }
  })

  const wrong: Record<string, object> = {
    siteName: { siteName: ' ' },
    mainDb: { mainDb: { raw: () => null } },
    'mainDb:': { mainDb: otherDb },
    trackingDb: { trackingDb: 'postgres://localhost' },
    replicables: { replicables: [{ name: 'widget' }] },
    features: { features: { enabled: true } },
    encryptionKey: { encryptionKey: 'ab'.repeat(31) },
    authorize: { authorize: true },
    logger: { logger: {} },
    work: { work: 'yes' },
    idleTimeoutMs: { idleTimeoutMs: 0 },
    syncTimeoutMs: { syncTimeoutMs: 59_999 },
    verificationTimeoutMs: { verificationTimeoutMs: 0 },
    threads: { threads: 1.5 },
    ca: { ca: ['/etc/ssl/our-ca.pem'] },
    allowedIps: { allowedIps: '10.0.0.0/33' },
    'allowedIps:': { allowedIps: ['10.0.0.1', 'paris.example'] },
    clock: { clock: Date },
    typo: { typo: 1 },
  }
  for (const [field, change] of Object.entries(wrong)) {
    it(`with a bad ${field} are refused by that name`, () => {
      expect(refusalOf(change)).toMatch(/^INVALID_OPTIONS /)
      expect(refusalOf(change)).toContain(field)
    })
  }

  it('take certificates as text or bytes, one or several', () => {
    const pem = '-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n'
    for (const ca of [pem, Buffer.from(pem), [pem], [Buffer.from(pem)]]) {
      expect(parseOptions({ ...minimal, ca }).ca).toEqual([pem])
    }
  })

  it('with several faults name them all at once', () => {
    const refusal = refusalOf({ siteName: '', encryptionKey: 'x' })
    expect(refusal).toContain('siteName: ')
    expect(refusal).toContain('encryptionKey: ')
  })

  it('never repeat a key that is wrong', () => {
    expect(refusalOf({ encryptionKey: 'hunter2' })).not.toContain('hunter2')
  })

  it('hold each type once', () => {
    expect(refusalOf({ replicables: [widgets, widgets] })).toMatch(/^DUPLICATE_REPLICABLE .*"widget"/)
  })
})
