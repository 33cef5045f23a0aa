import assert from 'node:assert/strict'
import type { Ask } from './ask.ts'
import type { TestRunner } from './runner.ts'
import type { Subject } from './subject.ts'

/*
 * GB.M.10, over HTTP, by introspection. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | requires read_geo_registry | one ability, `read_geo`, is asked for before a site is given, and registries are to be had from a site alone: asserted |
 * | model_record_id is an Int | it is an ID, for keys may be uuids and beyond 2³¹ |
 */

const EXPECTED: Readonly<Record<string, string>> = {
  id: 'ID!',
  state: 'RegistryState',
  retryCount: 'Int',
  lastSyncFailure: 'String',
  retryAt: 'Time',
  lastSyncedAt: 'Time',
  verifiedAt: 'Time',
  verificationRetryAt: 'Time',
  createdAt: 'Time',
  verificationState: 'VerificationStateEnum',
  verificationStartedAt: 'Time',
  verificationRetryCount: 'Int',
  verificationChecksum: 'String',
  verificationFailure: 'String',
  missingOnPrimary: 'Boolean',
  checksumMismatch: 'Boolean',
  verificationChecksumMismatched: 'String',
  modelRecordId: 'ID',
  dataManagementDetailsPath: 'String',
  forceToRedownload: 'Boolean',
}

interface ShownType {
  readonly kind: string
  readonly name: string | null
  readonly ofType: ShownType | null
}

/** The suite 'a Geo registry type'. */
export function aRegistryType(
  { describe, it, beforeEach }: TestRunner,
  { bench, replicable }: Subject,
  ask: Ask,
): void {
  const { name, registryClass, registriesField, recordIdField } = replicable.names
  const written = ({ kind, name: named, ofType }: ShownType): string =>
    kind === 'NON_NULL' && ofType ? `${written(ofType)}!` : String(named)

  async function shown() {
    const { data, errors } = await ask(
      `{ __type(name: "${registryClass}") { description
         fields(includeDeprecated: true) { name description isDeprecated type { kind name ofType { kind name } } } } }`,
    )
    assert.equal(errors, undefined)
    return data.__type
  }

  describe('a Geo registry type', () => {
    beforeEach(() => bench().reset())

    it('has the fields that all registries have, and the key of its record', async () => {
      const { fields } = await shown()
      const types = Object.fromEntries(
        fields.map((field: { name: string; type: ShownType }) => [field.name, written(field.type)]),
      )
      for (const [field, type] of Object.entries({ ...EXPECTED, [recordIdField]: 'ID!' }))
        assert.equal(types[field], type, field)
    })

    it('can be null in everything but its ids', async () => {
      const { fields } = await shown()
      const always = fields.filter(({ type }: { type: ShownType }) => type.kind === 'NON_NULL')
      assert.deepEqual(always.map((field: { name: string }) => field.name).toSorted(), ['id', recordIdField].toSorted())
    })

    it('says what it is, and so does each field that is no longer of use', async () => {
      const { description, fields } = await shown()
      const title = name.replaceAll('_', ' ')
      assert.equal(description, `Represents the Geo replication and verification state of a ${title}`)
      for (const field of fields) assert.ok(field.description || field.isDeprecated, `${field.name} says nothing`)
    })

    it('is given to those alone who may read Geo data', async () => {
      const { make } = bench()
      await make.registry()
      const query = `{ geoNode { ${registriesField} { nodes { __typename } } } }`
      assert.deepEqual((await ask(query, { as: 'nobody' })).data, { geoNode: null })
      const { data } = await ask(query)
      assert.deepEqual(data.geoNode[registriesField].nodes, [{ __typename: registryClass }])
    })
  })
}
