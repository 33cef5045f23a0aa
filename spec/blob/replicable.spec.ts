import { describe, expect, it } from 'vitest'
import { deriveNames, nameProblem } from '../../lib/blob/names.ts'
import { parseRecordId, type ReplicableDeclaration } from '../../lib/blob/replicable.ts'
import { ConfigurationError, defineReplicable, localDisk } from '../../lib/index.ts'

interface Row {
  file: string | null
}
const minimal: ReplicableDeclaration<Row> = {
  name: 'widget',
  table: 'widgets',
  verificationState: 'separate',
  store: localDisk({ root: 'blobs' }),
  blob: (row) => row.file,
}

function problemOf(change: object): string {
  try {
    defineReplicable<Row>({ ...minimal, ...change })
  } catch (reason) {
    expect(reason).toBeInstanceOf(ConfigurationError)
    expect(reason).toMatchObject({ code: 'INVALID_DECLARATION' })
    return (reason as ConfigurationError).message
  }
  return 'none'
}

describe('the names of a type', () => {
  it('all follow from one', () => {
    expect(deriveNames('ci_job')).toEqual({
      name: 'ci_job',
      plural: 'ci_jobs',
      className: 'CiJob',
      flag: 'geo_ci_job_replication',
      registryTable: 'ci_job_registry',
      foreignKey: 'ci_job_id',
      stateTable: 'ci_job_states',
      registryClass: 'CiJobRegistry',
      registryEnum: 'CI_JOB_REGISTRY',
      registriesField: 'ciJobRegistries',
      recordIdField: 'ciJobId',
    })
  })

  const plurals = {
    widget: 'widgets',
    policy: 'policies',
    day: 'days',
    bus: 'buses',
    box: 'boxes',
    quiz: 'quizes',
    branch: 'branches',
    hash: 'hashes',
  }
  for (const [name, plural] of Object.entries(plurals)) {
    it(`make ${plural} of ${name}`, () => expect(deriveNames(name).plural).toBe(plural))
  }

  it('can be irregular where English is', () => {
    const names = deriveNames('person', { plural: 'people', stateTable: 'app.person_checks' })
    expect(names).toMatchObject({ plural: 'people', stateTable: 'app.person_checks', registryTable: 'person_registry' })
  })

  for (const name of ['', 'Widget', '1st', 'a-b', 'a__b', '_a', 'a_', 'a b', 'wídget', 'a'.repeat(21)]) {
    it(`cannot follow from ${JSON.stringify(name)}`, () => expect(nameProblem(name)).not.toBeNull())
  }

  it('fit into an identifier of PostgreSQL, from the longest name', () => {
    const name = 'a'.repeat(20)
    expect(nameProblem(name)).toBeNull()
    const { registryTable, foreignKey } = deriveNames(name)
    expect(`index_${registryTable}_on_${foreignKey}`.length).toBeLessThanOrEqual(63)
  })
})

describe('a declaration', () => {
  it('gets every default and is frozen', () => {
    const widgets = defineReplicable(minimal)
    expect(widgets).toMatchObject({
      keyColumn: 'id',
      keyType: 'bigint',
      immutable: true,
      checksum: 'xxh64',
      released: null,
    })
    expect(widgets.blob({ file: 'a/b' })).toBe('a/b')
    expect(Object.isFrozen(widgets)).toBe(true)
    expect(Object.isFrozen(widgets.names)).toBe(true)
  })

  const wrong: Record<string, object> = {
    name: { name: 'Widget' },
    table: { table: 'widgets; drop table widgets' },
    keyColumn: { keyColumn: 'a.b' },
    keyType: { keyType: 'text' },
    verificationState: { verificationState: undefined },
    stateTable: { stateTable: '' },
    store: { store: { root: 'blobs' } },
    blob: { blob: 'file' },
    available: { available: true },
    immutable: { immutable: 'yes' },
    checksum: { checksum: 'md5' },
    released: { released: '' },
    typo: { typo: 1 },
  }
  for (const [field, change] of Object.entries(wrong)) {
    it(`with a bad ${field} is refused by that name`, () => expect(problemOf(change)).toContain(field))
  }

  it('with several faults names them all at once', () => {
    const problem = problemOf({ name: 'X', checksum: 'md5', blob: null })
    for (const field of ['name: ', 'checksum: ', 'blob: ']) expect(problem).toContain(field)
  })
})

describe('the key of a record', () => {
  const widgets = defineReplicable<Row>(minimal)
  const gadgets = defineReplicable<Row>({ ...minimal, name: 'gadget', keyType: 'uuid' })

  it('has one spelling, the one of the database', () => {
    expect(parseRecordId(widgets as never, '007')).toBe('7')
    expect(parseRecordId(widgets as never, '-9223372036854775808')).toBe('-9223372036854775808')
    expect(parseRecordId(widgets as never, '9223372036854775807')).toBe('9223372036854775807')
    const uuid = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'
    expect(parseRecordId(gadgets as never, uuid)).toBe(uuid.toLowerCase())
  })

  it('is nothing else', () => {
    for (const id of ['', ' 1', '1.0', '+1', '1n', '9223372036854775808', 'NaN', '１']) {
      expect(parseRecordId(widgets as never, id)).toBeNull()
    }
    for (const id of ['', '1', 'a0eebc999c0b4ef8bb6d6bb9bd380a11', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}']) {
      expect(parseRecordId(gadgets as never, id)).toBeNull()
    }
  })
})
