import { posix } from 'node:path'
import { camelCase } from '../blob/names.ts'
import { type Import, moduleText } from './code.ts'
import type { Host } from './host.ts'
import { fileStem, type TypeToWrite } from './type-to-write.ts'

/** The spec that runs all suites on a type, for the runner of the host; those of GraphQL where it has the packages. */
export function specText(host: Host, { names }: TypeToWrite): string {
  const { style, specs, runner, mainEnvironment, hasGraphql } = host
  const stem = fileStem(names.name)
  const root = posix.relative(specs, '.')
  const main = mainEnvironment === null ? 'knexfile' : `knexfile.${mainEnvironment}`
  const [before, after] = runner === 'node:test' ? ['before', 'after'] : ['beforeAll', 'afterAll']
  const functions = [after, before, 'beforeEach', 'describe', 'it'].sort()
  const runnerImport = { from: runner === 'jest' ? '@jest/globals' : runner, names: functions }
  const others: Import[] = [
    ...(hasGraphql ? [{ from: 'express-geo-replication/graphql', names: ['geoGraphql'] }] : []),
    { from: 'express-geo-replication/testing', names: ['conformance'] },
    ...(runner === 'vitest' ? [runnerImport] : []),
    { from: `${root}/geo/${stem}${style.importExtension}`, names: [camelCase(names.plural)] },
    { from: `${root}/${host.knexfile ?? 'knexfile.js'}`, default: 'knexfile' },
    { from: `./${stem}-factory${style.importExtension}`, names: [`insert${names.className}`] },
  ]
  const hooks = runner === 'node:test' ? 'beforeAll: before, afterAll: after' : 'beforeAll, afterAll'
  return moduleText(style, runner === 'vitest' ? others : [runnerImport, ...others], [
    `conformance(
  { describe, it, beforeEach, ${hooks} },
  {
    replicable: ${camelCase(names.plural)},
    insertRow: insert${names.className},
    databases: { main: ${main}, tracking: knexfile.tracking },
${hasGraphql ? '    graphql: geoGraphql(),\n' : ''}  },
)`,
  ])
}
