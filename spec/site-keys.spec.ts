import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GeoError } from '../lib/errors.ts'
import type { SiteKey } from '../lib/site-key.ts'
import { rotateSiteKey } from '../lib/site-rotation.ts'
import { listSites, type Site } from '../lib/site-table.ts'
import { signRequest } from '../lib/transfer/token.ts'
import { ENCRYPTION_KEY } from './support/fixture-rows.ts'
import { commandOf } from './support/in-process-cli.ts'
import { type ServedSites, serveSites } from './support/served-sites.ts'

const LEAD_S = 300

let sites: ServedSites
beforeEach(async () => {
  sites = await serveSites()
})
afterEach(() => sites.close())

const rotate = (name: string) => rotateSiteKey(sites.site.databases.main, ENCRYPTION_KEY, name, LEAD_S)
const refresh = async (): Promise<void> => {
  await sites.site.databases.caughtUp()
  await Promise.all([sites.primary.sites.refresh(), sites.site.assembly.sites.refresh()])
}
const passSeconds = (seconds: number) => sites.site.clock.advance(seconds * 1000)
/** By which key the site signs, as it knows itself. */
const signsWith = (assembly = sites.site.assembly) => assembly.sites.signingKeyOf(assembly.sites.requireMe()).accessKey

/** How the primary answers who asks for a blob with this key. */
async function statusWith(key: SiteKey, id: string): Promise<number> {
  const { clock } = sites.site
  const secret = sites.primary.sites.secretOf(key)
  const scope = { replicable_name: 'widget', replicable_id: id }
  const authorization = await signRequest(key, secret, scope, clock)
  return (await fetch(`${sites.primaryUrl}api/v4/geo/retrieve/widget/${id}`, { headers: { authorization } })).status
}

async function replicated(id: string): Promise<boolean> {
  await sites.settle()
  const row = await sites.site.databases.tracking('widget_registry').where({ widget_id: id, state: 2 }).first()
  return row !== undefined
}

describe('A new key of a site', () => {
  it('takes over without a pause: it is good before it is used, and the old one while it may be', async () => {
    const first = await sites.addWidget('one', 'bytes')
    expect(await replicated(first)).toBe(true)
    const old = sites.primary.sites.byName('paris') as Site
    const { nextKey } = await rotate('paris')
    if (!nextKey) throw new Error('There is no next key')

    // The primary knows of it, the replica of the secondary not yet; then both do.
    await sites.primary.sites.refresh()
    expect([signsWith(), await statusWith(old, first), await statusWith(nextKey, first)]).toEqual([
      old.accessKey,
      200,
      200,
    ])
    expect(await replicated(await sites.addWidget('two', 'bytes'))).toBe(true)
    await refresh()
    expect(signsWith()).toBe(old.accessKey)

    passSeconds(LEAD_S + 1)
    expect(signsWith()).toBe(nextKey.accessKey)
    expect(await replicated(await sites.addWidget('three', 'bytes'))).toBe(true)
    expect([await statusWith(old, first), await statusWith(nextKey, first)]).toEqual([200, 200])

    passSeconds(LEAD_S)
    expect([await statusWith(old, first), await statusWith(nextKey, first)]).toEqual([401, 200])
    expect(await replicated(await sites.addWidget('four', 'bytes'))).toBe(true)
  })

  it('of the primary is known to every site before the first request with it', async () => {
    const old = sites.primary.sites.requireMe()
    const { nextKey } = await rotate('rome')
    if (!nextKey) throw new Error('There is no next key')
    await sites.primary.sites.refresh()
    const known = ({ accessKey }: SiteKey) => sites.site.assembly.sites.byAccessKey(accessKey)?.site.name
    // The replica of the secondary has not caught up: what the primary signs with now is known there.
    expect([signsWith(sites.primary), known(old), known(nextKey)]).toEqual([old.accessKey, 'rome', undefined])
    await refresh()
    expect([known(old), known(nextKey)]).toEqual(['rome', 'rome'])
    passSeconds(LEAD_S + 1)
    expect(signsWith(sites.primary)).toBe(nextKey.accessKey)
    passSeconds(LEAD_S)
    expect([known(old), known(nextKey)]).toEqual([undefined, 'rome'])
  })

  it('is followed by another only once it has taken over', async () => {
    const { main } = sites.site.databases
    const { nextKey: second } = await rotate('paris')
    await expect(rotate('PARIS')).rejects.toThrow(
      new GeoError('INVALID_REQUEST', 'The last new key of the site "PARIS" has not taken over yet'),
    )
    await main('geo_nodes')
      .update({ old_key_until: main.raw("now() - interval '1 second'") })
      .whereNotNull('old_key_until')
    const { nextKey: third } = await rotate('paris')
    const [, paris] = await listSites(main)
    expect([paris?.accessKey, paris?.nextKey?.accessKey]).toEqual([second?.accessKey, third?.accessKey])
    await refresh()
    const one = await sites.addWidget('one', 'bytes')
    expect(await replicated(one)).toBe(true)
  })

  it('needs a site and a lead that there are', async () => {
    await expect(rotate('nowhere')).rejects.toMatchObject({ code: 'SITE_UNKNOWN' })
    for (const lead of [-1, 1.5, Number.NaN, 40 * 86_400]) {
      const rotating = rotateSiteKey(sites.site.databases.main, ENCRYPTION_KEY, 'paris', lead)
      await expect(rotating).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    }
  })

  it('is made on the command line, at once where that is asked for', async () => {
    const geo = commandOf(sites.primary.settings)
    const first = await sites.addWidget('one', 'bytes')
    const old = sites.primary.sites.byName('paris') as Site
    const { stdout, status } = await geo('site', 'rotate-key', 'paris', '--lead', '0')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^The site "paris" signs with a new key from \S+ on; the old one is good until \S+\n$/)
    await refresh()
    passSeconds(1)
    expect(signsWith()).not.toBe(old.accessKey)
    expect(await statusWith(old, first)).toBe(401)
    expect(await replicated(first)).toBe(true)
    const { stderr, status: again } = await geo('site', 'rotate-key', 'nowhere')
    expect([again === 0, stderr]).toEqual([false, expect.stringContaining('SITE_UNKNOWN')])
  })
})
