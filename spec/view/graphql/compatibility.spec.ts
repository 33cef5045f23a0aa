import { readFile } from 'node:fs/promises'
import { buildSchema, printSchema } from 'graphql'
import { describe, expect, it } from 'vitest'
import { declareReplicables } from '../../../fixtures/widget-app/replicables.ts'
import { documentedSchema } from '../../support/docs/graphql-schema.ts'
import { breakingChanges, RELEASED_SCHEMA, untoldBreakingChanges } from '../../support/graphql-compatibility.ts'

const types = Object.values(declareReplicables('unused')).filter((value) => 'blob' in value)

describe('The schema that was released', () => {
  it('is not broken without a word in the changelog', async () => {
    expect(await untoldBreakingChanges(documentedSchema(types))).toEqual([])
  })

  it.each([
    ['a field goes', /widgetId: ID!/, 'widgetKey: ID!', 'WidgetRegistry.widgetId'],
    ['a field has another type', /retryCount: Int\n/, 'retryCount: String\n', 'WidgetRegistry.retryCount'],
    ['a value of an enum goes', / {2}STARTED\n/, '', 'STARTED'],
    ['an argument becomes required', /sort: GeoRegistrySort = ID_ASC/, 'sort: GeoRegistrySort!', 'sort'],
  ])('is found broken where %s', async (_, of, by, named) => {
    const released = await readFile(RELEASED_SCHEMA, 'utf8')
    const now = printSchema(documentedSchema(types)).replaceAll(new RegExp(of, 'g'), by)
    expect(breakingChanges(released, buildSchema(now)).join('\n')).toContain(named)
  })
})
