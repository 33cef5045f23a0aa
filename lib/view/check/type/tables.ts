import type { Knex } from 'knex'
import { keyTypeOfColumn } from '../../../blob/key-column.ts'
import { stateTableOf } from '../../../blob/primary-checksum.ts'
import type { Replicable } from '../../../blob/replicable.ts'
import { registryColumns, registryIndexes } from '../../../registry/table.ts'
import {
  FAILURE_LIMIT,
  failureLimitName,
  VERIFICATION_COLUMNS,
  verificationIndexes,
} from '../../../verification/state-definition.ts'
import type { DatabaseName } from '../database-checks.ts'
import { type Check, no, noBy, type Outcome, skipped, yes } from '../outcome.ts'
import { columnIn, columnsOf, constraintsOf, indexesOf, tableExists } from './catalog.ts'

/** The tables of one type as the migrations of the host were to make them. */

export function tablesAreThere(which: DatabaseName, db: Knex, replicable: Replicable): Check {
  const { names, name } = replicable
  const tables =
    which === 'tracking' ? [names.registryTable] : [...new Set([replicable.table, stateTableOf(replicable).table])]
  return {
    name: `The tables of ${name} are in the ${which} database`,
    async ask() {
      const missing: string[] = []
      for (const table of tables) if (!(await tableExists(db, table))) missing.push(table)
      if (missing.length === 0) return yes(tables.join(', '))
      return noBy(
        'UNKNOWN_TABLE',
        `There is no table ${missing.join(', ')}`,
        `Run the migrations; ${made(which, replicable)}`,
      )
    },
  }
}

/** Of the host's table, and of what the SDK keeps beside it. */
export function keyTypeFits(db: Knex, { keyType, table: hostTable }: Replicable, table: string, column: string): Check {
  return {
    name: `The column ${column} of ${table} is a ${keyType}`,
    async ask() {
      const found = (await columnsOf(db, table)).find(({ name }) => name === column)
      if (!found) {
        return no(`${table} has no column ${column}`, 'Name the key of the table as `keyColumn` of the declaration.')
      }
      if (found.type === keyType) return yes()
      if (table === hostTable && keyTypeOfColumn(found.type) === keyType) return yes(found.type)
      return no(
        `It is of the type ${found.type}, and the declaration says ${keyType}`,
        'Say `keyType` in the declaration as the column is; keys are bigint, which integer and smallint fit, or uuid. The tables beside it have to have the same.',
      )
    },
  }
}

export function stateIsWhole(main: Knex, replicable: Replicable): Check[] {
  const { name, table: hostTable, keyColumn } = replicable
  const { table, key } = stateTableOf(replicable)
  const again = made('main', replicable)
  const limit = failureLimitName(name)
  const constraints = () => constraintsOf(main, table, { table: hostTable, column: keyColumn })
  return [
    {
      name: `The verification columns of ${table} are as they should be`,
      ask: () => columnsFit(main, table, VERIFICATION_COLUMNS, again),
    },
    {
      name: `The indexes of ${table} are there and valid`,
      ask: () => indexesFit(main, table, verificationIndexes(table), again),
    },
    {
      name: `The length of failures in ${table} is limited`,
      async ask() {
        const found = (await constraints()).find(
          (constraint) => constraint.name === limit && constraint.kind === 'check',
        )
        if (!found) {
          return no(
            `There is no constraint ${limit}`,
            `On the primary: alter table ${table} add constraint ${limit} ${FAILURE_LIMIT};`,
          )
        }
        return found.valid
          ? yes(limit)
          : no(
              `The constraint ${limit} is not validated`,
              `On the primary: alter table ${table} validate constraint ${limit};`,
            )
      },
    },
    {
      name: `The states of ${table} go with the rows of ${hostTable}`,
      async ask() {
        if (replicable.verificationState === 'columns') return skipped('They are columns of that table')
        const found = (await constraints()).find(({ kind, leadsThere }) => kind === 'foreign key' && leadsThere)
        const mend = `On the primary: alter table ${table} add foreign key (${key}) references ${hostTable} (${keyColumn}) on delete cascade;`
        if (!found) return no(`No foreign key leads from ${key} to ${hostTable}`, mend)
        if (!found.cascades) {
          return no(
            `${found.name} does not take states with it: ${found.definition}`,
            `On the primary: alter table ${table} drop constraint ${found.name};`,
            mend,
          )
        }
        return found.valid
          ? yes(found.name)
          : no(
              `${found.name} is not validated`,
              `On the primary: alter table ${table} validate constraint ${found.name};`,
            )
      },
    },
  ]
}

export function registryIsWhole(tracking: Knex, replicable: Replicable): Check[] {
  const { names } = replicable
  const { registryTable: table } = names
  const again = made('tracking', replicable)
  return [
    {
      name: `The columns of ${table} are as they should be`,
      ask: () => columnsFit(tracking, table, registryColumns(), again),
    },
    {
      name: `The indexes of ${table} are there and valid`,
      ask: () => indexesFit(tracking, table, registryIndexes(names), again),
    },
  ]
}

async function columnsFit(db: Knex, table: string, definitions: readonly string[], again: string): Promise<Outcome> {
  const found = new Map((await columnsOf(db, table)).map((column) => [column.name, column]))
  const wrong = definitions.map((definition) => {
    const wanted = columnIn(definition)
    const there = found.get(wanted.name)
    if (!there) return { text: `${wanted.name} is missing`, mend: `alter table ${table} add column ${definition};` }
    if (there.type !== wanted.type) {
      return {
        text: `${wanted.name} is of the type ${there.type}, not ${wanted.type}`,
        mend: `alter table ${table} alter column ${wanted.name} type ${wanted.type};`,
      }
    }
    if (wanted.notNull && !there.notNull) {
      return {
        text: `${wanted.name} may be null`,
        mend: `alter table ${table} alter column ${wanted.name} set not null;`,
      }
    }
    return null
  })
  const problems = wrong.filter((one) => one !== null)
  if (problems.length === 0) return yes(`${definitions.length} of ${definitions.length}`)
  return no(
    problems.map(({ text }) => text).join('; '),
    ...problems.map(({ mend }) => mend),
    `Or, in a migration: ${again}`,
  )
}

async function indexesFit(
  db: Knex,
  table: string,
  wanted: readonly { readonly name: string; readonly definition: string; readonly unique?: boolean }[],
  again: string,
): Promise<Outcome> {
  const found = new Map((await indexesOf(db, table)).map((index) => [index.name, index]))
  const missing = wanted.filter(({ name }) => !found.has(name))
  const invalid = wanted.filter(({ name }) => found.get(name)?.valid === false)
  const loose = wanted.filter(({ name, unique }) => unique && found.get(name)?.unique === false)
  if (missing.length + invalid.length + loose.length === 0) return yes(`${wanted.length} of ${wanted.length}`)
  const namesOf = (some: readonly { readonly name: string }[]) => some.map(({ name }) => name).join(', ')
  const reason = [
    missing.length > 0 ? `missing: ${namesOf(missing)}` : '',
    invalid.length > 0 ? `invalid: ${namesOf(invalid)}` : '',
    loose.length > 0 ? `not unique: ${namesOf(loose)}` : '',
  ]
  return no(
    reason.filter((text) => text !== '').join('; '),
    ...missing.map(
      ({ name, definition, unique }) =>
        `create ${unique ? 'unique ' : ''}index concurrently ${name} on ${table} ${definition};`,
    ),
    ...invalid.map(({ name }) => `reindex index concurrently ${name};`),
    ...loose.map(({ name }) => `drop index ${name};`),
    ...(missing.length + loose.length > 0 ? [`Or, in a migration: ${again}`] : []),
  )
}

/** What makes the tables of a type, and what is missing of them where it is called again. */
function made(which: DatabaseName, { name, table, keyType, verificationState }: Replicable): string {
  if (which === 'tracking') return `createRegistryTable(knex, '${name}', { keyType: '${keyType}' })`
  return verificationState === 'columns'
    ? `addVerificationColumns(knex, '${name}', { table: '${table}' })`
    : `createVerificationStateTable(knex, '${name}', { table: '${table}', keyType: '${keyType}' })`
}
