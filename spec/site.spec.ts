import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { decryptSecret, encryptSecret } from '../lib/secret.ts'
import { SiteDirectory } from '../lib/site.ts'
import { deleteSite, insertSite, listSites, redirectHostsOf, updateSite } from '../lib/site-table.ts'
import { shiftedClock } from '../lib/testing/shifted-clock.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'

const key = randomBytes(32)
const otherKey = randomBytes(32)
let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
afterEach(() => databases.main('geo_nodes').delete())

const add = (site: Parameters<typeof insertSite>[2]) => insertSite(databases.main, key, site)
const tokyo = { name: 'tokyo', url: 'https://tokyo.test', primary: true }

describe('the table of sites', () => {
  it('lists the primary first, then by name, with addresses that end in a slash', async () => {
    await add({ name: 'zagreb', url: 'https://zagreb.test/geo', internalUrl: 'http://10.0.0.3:8080' })
    await add({ name: 'amman', url: 'https://amman.test/', internalUrl: 'https://amman.test' })
    await add(tokyo)
    const sites = await listSites(databases.main)
    expect(sites.map(({ name, url, internalUrl }) => [name, url, internalUrl])).toEqual([
      ['tokyo', 'https://tokyo.test/', 'https://tokyo.test/'],
      ['amman', 'https://amman.test/', 'https://amman.test/'],
      ['zagreb', 'https://zagreb.test/geo/', 'http://10.0.0.3:8080/'],
    ])
    expect(sites[0]).toMatchObject({ enabled: true, filesMaxCapacity: 10, verificationMaxCapacity: 10 })
  })

  it('has at most one primary, also where two are added at once', async () => {
    const both = await Promise.allSettled([add(tokyo), add({ ...tokyo, name: 'osaka' })])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    await expect(add({ ...tokyo, name: 'kyoto' })).rejects.toMatchObject({ code: 'INVALID_SITE' })
    expect(await listSites(databases.main)).toHaveLength(1)
  })

  it('has each name once, in whatever case', async () => {
    await add({ name: 'Paris', url: 'https://paris.test' })
    await expect(add({ name: ' pARIS ', url: 'https://x.test' })).rejects.toMatchObject({ code: 'SITE_EXISTS' })
  })

  it('says field by field what is wrong', async () => {
    const problems = (input: object) =>
      add(input as never).then(
        () => [],
        ({ problems }: { problems: { field: string; text: string }[] }) => problems.map((p) => `${p.field} ${p.text}`),
      )
    expect(await problems({ url: 'ftp://x', filesMaxCapacity: -1 })).toEqual([
      "name can't be blank",
      'url must be an http or https URL',
      'filesMaxCapacity must be greater than or equal to 0',
    ])
    expect(await problems({ ...tokyo, name: 'a\0b' })).toEqual(['name is invalid'])
    expect(await problems({ ...tokyo, enabled: false })).toEqual(['enabled Geo primary node cannot be disabled'])
    await add(tokyo)
    expect(await problems({ ...tokyo, name: 'osaka' })).toEqual(['primary node already exists'])
    expect(await problems({ name: 'TOKYO', url: 'http://x' })).toEqual(['name has already been taken'])
  })

  it('begins with no number that is equal to that of another modulo 1000, for an epoch would be of both', async () => {
    const { main } = databases
    const next = (id: number) => main.raw("select setval('geo_nodes_id_seq', ?, false)", [id])
    const idOf = async (name: string) => (await add({ name, url: `https://${name}.test` })).id
    await next(7)
    expect([await idOf('a'), await idOf('b')]).toEqual(['7', '8'])
    await next(2007)
    expect(await idOf('c')).toBe('2009')
    await next(1_000_000_000_000_999)
    expect(await idOf('d')).toBe('1000000000000999')
    await next(5998)
    expect([await idOf('e'), await idOf('f')]).toEqual(['5998', '6000'])
  })

  it('takes 1,000 sites, and refuses the next', async () => {
    const { main } = databases
    await main.raw(`insert into geo_nodes (id, name, url, access_key, encrypted_secret_access_key, encrypted_secret_access_key_iv)
      select id, 'site ' || id, 'http://site.test/', id::text, '', '' from generate_series(20001, 20999) as id`)
    await main.raw("select setval('geo_nodes_id_seq', 1)")
    expect((await add(tokyo)).id).toBe('1000')
    await expect(add({ name: 'paris', url: 'https://paris.test' })).rejects.toMatchObject({
      code: 'INVALID_SITE',
      message: expect.stringContaining('1000'),
    })
  })

  it('gives a site another name, but not one that is taken', async () => {
    await add(tokyo)
    await add({ name: 'paris', url: 'https://paris.test' })
    expect(await updateSite(databases.main, 'Paris', { name: ' lyon ' })).toMatchObject({ name: 'lyon' })
    await expect(updateSite(databases.main, 'lyon', { name: 'Tokyo' })).rejects.toMatchObject({ code: 'SITE_EXISTS' })
  })

  it('loses a site with its status, and the primary only as the last', async () => {
    const { main } = databases
    await add(tokyo)
    const paris = await add({ name: 'paris', url: 'https://paris.test' })
    await main('geo_node_statuses').insert({ geo_node_id: paris.id })
    await expect(deleteSite(main, 'tokyo')).rejects.toMatchObject({ code: 'INVALID_SITE' })
    await deleteSite(main, 'PARIS')
    expect(await main('geo_node_statuses')).toEqual([])
    await expect(deleteSite(main, 'paris')).rejects.toMatchObject({ code: 'SITE_UNKNOWN' })
    await deleteSite(main, 'tokyo')
    expect(await listSites(main)).toEqual([])
  })

  it('takes changes of what may change, one field or all, and leaves the rest', async () => {
    await add(tokyo)
    const before = await add({ name: 'paris', url: 'https://paris.test' })
    expect(before).toMatchObject({
      transferBytesPerSecond: null,
      copiesReverificationIntervalDays: null,
      selectiveSync: null,
      redirectHosts: [],
    })
    const change = {
      enabled: false,
      url: 'https://paris.test/geo/',
      internalUrl: 'http://10.0.0.9/',
      filesMaxCapacity: 3,
      verificationMaxCapacity: 4,
      minimumReverificationIntervalDays: 5,
      transferBytesPerSecond: 3_000_000_000,
      copiesReverificationIntervalDays: 6,
      selectiveSync: { type: 'namespaces', namespaceIds: ['1', 'a,b'], shards: [] },
      redirectHosts: ['files.example', '10.0.0.5:9000'],
    }
    const changed = await updateSite(databases.main, 'PARIS', change)
    expect(changed).toEqual({ ...before, ...change })
    const back = await updateSite(databases.main, 'paris', { transferBytesPerSecond: null, selectiveSync: null })
    expect(back).toEqual({ ...changed, transferBytesPerSecond: null, selectiveSync: null })
  })

  it('keeps hosts in one spelling, and may send others to its own addresses besides', async () => {
    const site = await add({ ...tokyo, internalUrl: 'http://10.0.0.9:8080', redirectHosts: [' FILES.example:9000 '] })
    expect(site.redirectHosts).toEqual(['files.example:9000'])
    expect(redirectHostsOf(site)).toEqual(['tokyo.test', '10.0.0.9:8080', 'files.example:9000'])
  })

  it('refuses to disable the primary, to change who is not there, and what cannot be', async () => {
    await add(tokyo)
    const code = (change: Parameters<typeof updateSite>[2], name = 'tokyo') =>
      updateSite(databases.main, name, change).then(
        () => null,
        (reason) => reason.code,
      )
    expect(await code({ enabled: false })).toBe('INVALID_SITE')
    expect(await code({ enabled: true }, 'oslo')).toBe('SITE_UNKNOWN')
    expect(await code({ transferBytesPerSecond: 1023 })).toBe('INVALID_SITE')
    expect(await code({ copiesReverificationIntervalDays: 0 })).toBe('INVALID_SITE')
    expect(await code({ selectiveSync: { type: ' ' } })).toBe('INVALID_SITE')
    expect(await code({ redirectHosts: ['https://files.example/'] })).toBe('INVALID_SITE')
    expect(await code({ redirectHosts: Array.from({ length: 101 }, (_, host) => `h${host}`) })).toBe('INVALID_SITE')
    expect(await code({ primary: false } as object)).toBe('INVALID_SITE')
    expect((await listSites(databases.main))[0]).toMatchObject({ enabled: true, transferBytesPerSecond: null })
  })

  const wrong: Record<string, object> = {
    name: { name: '  ' },
    url: { url: 'ftp://tokyo.test' },
    internalUrl: { internalUrl: 'tokyo.test' },
    primary: { primary: 'yes' },
    filesMaxCapacity: { filesMaxCapacity: -1 },
    verificationMaxCapacity: { verificationMaxCapacity: 1.5 },
    typo: { typo: 1 },
  }
  for (const [field, change] of Object.entries(wrong)) {
    it(`takes no site with a bad ${field}`, async () => {
      const adding = add({ ...tokyo, ...change })
      await expect(adding).rejects.toMatchObject({ code: 'INVALID_SITE' })
      await expect(adding).rejects.toThrow(field)
      expect(await listSites(databases.main)).toEqual([])
    })
  }
})

describe('the secret of a site', () => {
  it('lies encrypted in the row, and the key of the host opens it', async () => {
    const site = await add(tokyo)
    const [row] = await databases.main('geo_nodes').select()
    const secret = decryptSecret(site.secret, key, site.accessKey)
    expect(secret).toMatch(/^[\w-]{40}$/)
    expect(site.accessKey).toMatch(/^[\w-]{20}$/)
    expect(Buffer.from(JSON.stringify(row)).includes(secret)).toBe(false)
    expect(row.encrypted_secret_access_key.includes(secret)).toBe(false)
    expect(row.encrypted_secret_access_key_iv).toHaveLength(12)
  })

  it('differs from site to site', async () => {
    const sites = [await add(tokyo), await add({ name: 'paris', url: 'https://paris.test' })]
    const secrets = sites.map((site) => decryptSecret(site.secret, key, site.accessKey))
    expect(new Set([...secrets, ...sites.map(({ accessKey }) => accessKey)]).size).toBe(4)
  })

  it('opens with no other key, for no other row, and not after a change', () => {
    const secret = encryptSecret('secret', key, 'access')
    const changed = Buffer.from(secret.ciphertext)
    changed[0] = (changed[0] ?? 0) ^ 1
    const refused = expect.objectContaining({ code: 'SECRET_UNDECRYPTABLE' })
    expect(() => decryptSecret(secret, otherKey, 'access')).toThrow(refused)
    expect(() => decryptSecret(secret, key, 'other')).toThrow(refused)
    expect(() => decryptSecret({ ...secret, ciphertext: changed }, key, 'access')).toThrow(refused)
    expect(() => decryptSecret({ ...secret, ciphertext: Buffer.alloc(0) }, key, 'access')).toThrow(refused)
    expect(decryptSecret(secret, key, 'access')).toBe('secret')
  })
})

describe('what a process knows of the sites', () => {
  it('is its own role, in whatever case its name is written', async () => {
    await add(tokyo)
    await add({ name: 'Paris', url: 'https://paris.test' })
    const roles = ['TOKYO', 'paris', 'oslo'].map(async (name) => {
      const sites = new SiteDirectory(name, databases.main, [key], shiftedClock())
      expect(sites.role).toBe('unknown')
      await sites.refresh()
      return sites.role
    })
    expect(await Promise.all(roles)).toEqual(['primary', 'secondary', 'unknown'])
  })

  it('is at most five seconds old', async () => {
    const clock = shiftedClock()
    const sites = new SiteDirectory('tokyo', databases.main, [key], clock)
    await sites.ensureFresh()
    await add(tokyo)
    await sites.ensureFresh()
    expect(sites.me).toBeNull()
    clock.advance(5000)
    await sites.ensureFresh()
    expect(sites.me?.name).toBe('tokyo')
    expect(sites.primary).toBe(sites.me)
  })

  it('says with a code of its own that it is not registered, or has another encryption key', async () => {
    await add(tokyo)
    const stranger = new SiteDirectory('oslo', databases.main, [otherKey], shiftedClock())
    await stranger.refresh()
    expect(() => stranger.requireMe()).toThrow(expect.objectContaining({ code: 'SITE_UNKNOWN' }))
    const { primary } = stranger
    expect(primary?.name).toBe('tokyo')
    expect(() => primary && stranger.secretOf(primary)).toThrow(
      expect.objectContaining({ code: 'SECRET_UNDECRYPTABLE' }),
    )
  })
})
