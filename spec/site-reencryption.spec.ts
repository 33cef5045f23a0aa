import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createGeo } from '../lib/index.ts'
import { parseOptions } from '../lib/options.ts'
import { decryptSecret } from '../lib/secret.ts'
import { reencryptSites } from '../lib/site-reencryption.ts'
import { rotateSiteKey } from '../lib/site-rotation.ts'
import { listSites } from '../lib/site-table.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { addSites, ENCRYPTION_KEY } from './support/fixture-rows.ts'
import { commandOf } from './support/in-process-cli.ts'
import { recordingLogger } from './support/recording-logger.ts'

const NEW_KEY = Buffer.alloc(32, 9)
const [OLD, NEW] = [ENCRYPTION_KEY.toString('hex'), NEW_KEY.toString('hex')]

let databases: SpecDatabases
beforeEach(async () => {
  databases = await createSpecDatabases()
  await addSites(databases.main, 'paris', 'oslo')
})
afterEach(() => databases.destroy())

const rows = () => databases.main('geo_nodes').orderBy('id')
const secretsBy = async (key: Buffer): Promise<string[]> =>
  (await listSites(databases.main)).flatMap((site) =>
    [site, ...(site.nextKey ? [site.nextKey] : [])].map(({ secret, accessKey }) =>
      decryptSecret(secret, key, accessKey),
    ),
  )
const settingsWith = (...keys: string[]) =>
  parseOptions({
    siteName: 'rome',
    mainDb: databases.main,
    replicables: [],
    encryptionKey: keys,
    logger: recordingLogger(),
  })

describe('The keys of the sites', () => {
  it('stay the same when they are encrypted with another key, those that are about to take over as well', async () => {
    await rotateSiteKey(databases.main, ENCRYPTION_KEY, 'paris')
    const before = await secretsBy(ENCRYPTION_KEY)
    expect(before).toHaveLength(4)

    const { stdout, status } = await commandOf(settingsWith(NEW, OLD))('site', 'reencrypt')
    expect([status, stdout]).toEqual([0, 'Encrypted the keys of 3 sites with the first encryptionKey\n'])
    expect(await secretsBy(NEW_KEY)).toEqual(before)
    await expect(secretsBy(ENCRYPTION_KEY)).rejects.toMatchObject({ code: 'SECRET_UNDECRYPTABLE' })
  })

  it('are left alone where that was done before', async () => {
    await reencryptSites(databases.main, [NEW_KEY, ENCRYPTION_KEY])
    const done = await rows()
    expect(await reencryptSites(databases.main, [NEW_KEY, ENCRYPTION_KEY])).toBe(0)
    expect(await rows()).toEqual(done)
  })

  it('are all left as they are where one of them cannot be decrypted', async () => {
    await databases
      .main('geo_nodes')
      .where({ name: 'paris' })
      .update({ encrypted_secret_access_key: Buffer.alloc(60, 1) })
    const before = await rows()
    await expect(reencryptSites(databases.main, [NEW_KEY, ENCRYPTION_KEY])).rejects.toMatchObject({
      code: 'SECRET_UNDECRYPTABLE',
    })
    expect(await rows()).toEqual(before)
  })

  it('of a site that is added meanwhile are encrypted with the first', async () => {
    const geo = createGeo({
      siteName: 'rome',
      mainDb: databases.main,
      replicables: [],
      encryptionKey: [NEW, OLD],
      work: false,
    })
    try {
      expect(await geo.sites.reencrypt()).toBe(3)
      await geo.sites.add({ name: 'lima', url: 'http://lima.test' })
      expect(await secretsBy(NEW_KEY)).toHaveLength(4)
    } finally {
      await geo.stop()
    }
  })

  it.each([
    ['before', [OLD, NEW], 'yes, with number 1 of the 2 of encryptionKey'],
    ['after, where the new one is last', [OLD, NEW], 'yes, with number 2 of the 2 of encryptionKey'],
    ['after, where the new one is first', [NEW, OLD], 'yes, with number 1 of the 2 of encryptionKey'],
  ])('are told by geo check to be encrypted with which, %s', async (when, keys, detail) => {
    if (when !== 'before') await reencryptSites(databases.main, [NEW_KEY, ENCRYPTION_KEY])
    const { stdout } = await commandOf(settingsWith(...keys))('check')
    expect(stdout).toContain(`The keys of the sites can be decrypted ... ${detail}\n`)
  })
})

it.each([
  ['no key', [], 'encryptionKey: must be 1 to 8 keys'],
  ['one that is no key among them', [OLD, 'short'], 'encryptionKey: must be 32 bytes as hex or base64'],
  ['more than eight', Array.from({ length: 9 }, () => OLD), 'encryptionKey: must be 1 to 8 keys'],
])('A list of keys with %s is refused', (_, encryptionKey, problem) => {
  expect(() => parseOptions({ siteName: 'rome', mainDb: databases.main, replicables: [], encryptionKey })).toThrow(
    problem,
  )
})
