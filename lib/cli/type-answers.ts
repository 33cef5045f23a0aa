import { keyTypeOfColumn } from '../blob/key-column.ts'
import { deriveNames } from '../blob/names.ts'
import type { KeyType } from '../blob/replicable.ts'
import { GeoError } from '../errors.ts'
import { likelyBlobColumn, type TableFacts } from '../generate/table-facts.ts'
import { pluralFromTable, type TypeToWrite } from '../generate/type-to-write.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { requireNames } from './generate-options.ts'
import { Questions } from './questions.ts'

export interface TypeOptions extends GlobalOptions {
  readonly table?: string
  readonly verification?: 'separate' | 'columns'
  readonly blobColumn?: string
  readonly keyColumn?: string
  readonly keyType?: string
  readonly plural?: string
  readonly yes?: true
}

/**
 * All that has to be known of a type: given, looked up, or asked for.
 * @throws GeoError `OPTIONS_MISSING`, `KEY_TYPE_UNSUPPORTED`, `INVALID_REQUEST`
 */
export async function typeFromAnswers(
  cli: CommandLine,
  name: string,
  options: TypeOptions,
  lookUp: (table: string) => Promise<TableFacts | null>,
): Promise<TypeToWrite> {
  const questions = new Questions(cli, options)
  const table = await questions.ask({
    option: '--table',
    text: `Which table holds the rows of ${name}?`,
    given: options.table,
    suggestion: deriveNames(name).plural,
  })
  // Empty where nobody could be asked.
  if (table !== '') requireNames('--table', table.split('.'))
  const facts = table === '' ? null : await lookUp(table)
  const verification = await questions.ask<'separate' | 'columns'>({
    option: '--verification',
    text: 'Where does the primary keep its checksums: in a table of their own, or in columns of this one?',
    given: options.verification,
    suggestion: 'separate',
    choices: ['separate', 'columns'],
  })
  const keyColumn = await questions.ask({
    option: '--key-column',
    text: 'Which column is the key?',
    given: options.keyColumn,
    known: facts?.key?.name,
    suggestion: facts ? undefined : 'id',
    ...columnsOf(facts),
  })
  const keyType = await keyTypeOf(questions, options, facts, keyColumn)
  const blobColumn = await questions.ask({
    option: '--blob-column',
    text: "Which column holds the key of the row's file?",
    given: options.blobColumn,
    suggestion: facts ? likelyBlobColumn(facts) : undefined,
    ...(facts && { choices: facts.texts.map((column) => column.name) }),
  })
  questions.done()
  requireNames('--key-column', [keyColumn])
  requireNames('--blob-column', [blobColumn])
  const regular = deriveNames(name).plural
  const plural = options.plural ?? pluralFromTable(name, table) ?? regular
  requireNames('--plural', [plural])
  return Object.freeze({
    names: deriveNames(name, { plural }),
    hasOwnPlural: plural !== regular,
    table,
    keyColumn,
    keyType,
    verification,
    blobColumn,
    facts,
  })
}

async function keyTypeOf(
  questions: Questions,
  { keyType }: TypeOptions,
  facts: TableFacts | null,
  keyColumn: string,
): Promise<KeyType> {
  const type = facts?.columns.find(({ name }) => name === keyColumn)?.type
  const found = type === undefined ? undefined : keyTypeOfColumn(type)
  if (found === null) {
    throw new GeoError(
      'KEY_TYPE_UNSUPPORTED',
      `The key ${keyColumn} is of the type ${type}; it can be an integer or uuid`,
    )
  }
  if (found !== undefined && keyType !== undefined && found !== keyType) {
    throw new GeoError('INVALID_REQUEST', `--key-type is ${keyType}, but ${keyColumn} is of the type ${type}`)
  }
  return questions.ask<KeyType>({
    option: '--key-type',
    text: 'Of which type is the key?',
    given: found ?? keyType,
    suggestion: 'bigint',
    choices: ['bigint', 'uuid'],
  })
}

function columnsOf(facts: TableFacts | null): { choices?: string[] } {
  return facts ? { choices: facts.columns.map(({ name }) => name) } : {}
}
