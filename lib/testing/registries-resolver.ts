import assert from 'node:assert/strict'
import { resolveRegistries } from '../view/registries/resolver.ts'
import type { Answer, Ask, AskOptions } from './ask.ts'
import { type FourRegistries, fourRegistries, registryIdOf } from './four-registries.ts'
import type { TestRunner } from './runner.ts'
import type { Subject } from './subject.ts'

/*
 * GB.M.9, over HTTP. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | admin mode off, user: empty | the host's `authorize` says who may `read_geo`. Over HTTP the others get no site at all (GB.H.1); that the resolver has nothing for them either is asserted below HTTP |
 * | replication flag off: empty | where the type is not released its field cannot be seen then (GB.H.7): asserted, and the emptiness below HTTP |
 * | verification off: ArgumentError | there is no flag for verification alone, and with the flag off all is empty. The finder's suite asserts the error |
 * | null ids: all | also without any argument |
 */

/** The suite 'a Geo registries resolver'. */
export function aRegistriesResolver({ describe, it, beforeEach }: TestRunner, subject: Subject, ask: Ask): void {
  const { bench, replicable } = subject
  const { registryClass, registriesField, recordIdField } = replicable.names
  let four: FourRegistries

  const QUERY = `query ($site: String, $ids: [${registryClass}ID!], $replication: ReplicationStateEnum,
      $verification: VerificationStateEnum, $sort: GeoRegistrySort) {
    geoNode(name: $site) {
      found: ${registriesField}(ids: $ids, replicationState: $replication, verificationState: $verification, sort: $sort) {
        nodes { ${recordIdField} } } } }`

  async function find(variables: AskOptions['variables'] = {}): Promise<string[]> {
    const { data, errors } = await ask(QUERY, { variables })
    assert.equal(errors, undefined, JSON.stringify(errors))
    return data.geoNode.found.nodes.map((node: Record<string, string>) => node[recordIdField])
  }
  const idsOf = (...names: (keyof FourRegistries)[]) => names.map((name) => four[name].id)
  const all = () => idsOf('synced', 'verifiedFirst', 'pending', 'verifiedLast')
  const globalId = async (name: keyof FourRegistries) =>
    `gid://gitlab/Geo::${registryClass}/${await registryIdOf(bench(), four[name])}`

  function assertRefused({ data, errors }: Answer, message: RegExp): void {
    assert.equal(data ?? null, null)
    assert.equal(errors?.length, 1)
    assert.match(errors[0]?.message ?? '', message)
  }

  /** The resolver without GraphQL. */
  async function resolve({ mayRead }: { mayRead: boolean }): Promise<number> {
    const { parts, type } = bench().secondary
    assert.ok(parts.sites.me)
    const found = resolveRegistries(parts, parts.sites.me, type, {}, { mayRead })
    const entries = await found.page({ limit: 100 })
    assert.equal(await found.count(100), entries.length)
    return entries.length
  }

  describe('a Geo registries resolver', () => {
    beforeEach(async () => {
      await bench().reset()
      four = await fourRegistries(bench())
    })

    it('gives all in the order of their ids where no ids are given, or null', async () => {
      assert.deepEqual(await find(), all())
      assert.deepEqual(await find({ ids: null }), all())
      assert.deepEqual(await find({ ids: [] }), all())
    })

    it('gives those that are asked for in the order of their ids, not of the request', async () => {
      const ids = [await globalId('verifiedLast'), await globalId('synced')]
      assert.deepEqual(await find({ ids }), idsOf('synced', 'verifiedLast'))
    })

    it('refuses bare ids, as a variable and in the text', async () => {
      const bare = await registryIdOf(bench(), four.synced)
      assertRefused(await ask(QUERY, { variables: { ids: [bare] } }), /is not a valid Global ID/)
      const text = (id: string) => `{ geoNode { ${registriesField}(ids: [${id}]) { nodes { id } } } }`
      for (const id of [bare, `"${bare}"`]) assertRefused(await ask(text(id)), /is not a valid Global ID/)
    })

    it('refuses ids of another class', async () => {
      const ids = [(await globalId('synced')).replace(registryClass, 'ProjectRegistry')]
      const message = new RegExp(`does not represent an instance of Geo::${registryClass}$`)
      assertRefused(await ask(QUERY, { variables: { ids } }), message)
    })

    it('filters by replication state', async () => {
      assert.deepEqual(await find({ replication: 'SYNCED' }), idsOf('synced', 'verifiedFirst', 'verifiedLast'))
      assert.deepEqual(await find({ replication: 'PENDING' }), idsOf('pending'))
    })

    it('filters by verification state', async () => {
      assert.deepEqual(await find({ verification: 'SUCCEEDED' }), idsOf('verifiedFirst', 'verifiedLast'))
    })

    it('sorts by ID_DESC', async () => {
      assert.deepEqual(await find({ sort: 'ID_DESC' }), all().toReversed())
    })

    it('sorts by the moment of verification', async () => {
      assert.deepEqual(
        await find({ sort: 'VERIFIED_AT_ASC' }),
        idsOf('verifiedFirst', 'verifiedLast', 'synced', 'pending'),
      )
    })

    it(`with the flag off ${replicable.released ? 'gives nothing' : 'is not to be seen'}`, async () => {
      bench().switchFlag(false)
      if (replicable.released) assert.deepEqual(await find(), [])
      else
        assertRefused(
          await ask(`{ geoNode { ${registriesField} { count } } }`),
          new RegExp(`^Cannot query field "${registriesField}" on type "GeoNode"`),
        )
      assert.equal(await resolve({ mayRead: true }), 0)
    })

    it('gives nothing to those who may not read Geo data', async () => {
      const { data, errors } = await ask(QUERY, { as: 'nobody' })
      assert.equal(errors, undefined)
      assert.deepEqual(data, { geoNode: null })
      assert.equal(await resolve({ mayRead: false }), 0)
      assert.equal(await resolve({ mayRead: true }), all().length)
    })

    it('gives nothing of another site, whose tracking database is its own', async () => {
      assert.deepEqual(await find({ site: bench().primary.parts.settings.siteName }), [])
    })
  })
}
