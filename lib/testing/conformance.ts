import type { Replicable } from '../blob/replicable.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import type { GraphqlPart } from '../view/graphql/sources.ts'
import { type Ask, asking, ROLE_HEADER } from './ask.ts'
import { type Bench, openBench } from './bench.ts'
import { aBlobReplicator } from './blob-replicator.ts'
import type { InsertRow } from './factories.ts'
import { aFrameworkRegistry } from './framework-registry.ts'
import { getsRegistries } from './gets-registries.ts'
import { aRegistriesResolver } from './registries-resolver.ts'
import { aFrameworkRegistryFinder } from './registry-finder.ts'
import { aRegistryType } from './registry-type.ts'
import type { TestRunner } from './runner.ts'
import { type ScratchOptions, scratchDatabases, type TestDatabases } from './scratch-databases.ts'
import { aSiteStatus } from './site-status.ts'
import type { Subject } from './subject.ts'
import { aVerifiableModel } from './verifiable-model.ts'

type Suite = (runner: TestRunner, subject: Subject, ask: Ask) => void

const ALWAYS = Object.freeze({
  'a blob replicator': aBlobReplicator,
  'a Geo framework registry': aFrameworkRegistry,
  'a framework registry finder': aFrameworkRegistryFinder,
  'a verifiable model': aVerifiableModel,
  'the status of a Geo site': aSiteStatus,
})

const OVER_GRAPHQL = Object.freeze({
  'a Geo registries resolver': aRegistriesResolver,
  'a Geo registry type': aRegistryType,
  'gets registries': getsRegistries,
})

/** The name of a suite. */
export type SuiteName =
  | 'a blob replicator'
  | 'a Geo framework registry'
  | 'a framework registry finder'
  | 'a verifiable model'
  | 'the status of a Geo site'
  | 'a Geo registries resolver'
  | 'a Geo registry type'
  | 'gets registries'

const BY_NAME: Readonly<Record<SuiteName, Suite>> = Object.freeze({ ...ALWAYS, ...OVER_GRAPHQL })

/** The suites that need no more than the type. */
export const SUITES: readonly SuiteName[] = Object.freeze(Object.keys(ALWAYS) as SuiteName[])
/** Those that ask the secondary over GraphQL; only where `graphql` is passed. */
export const GRAPHQL_SUITES: readonly SuiteName[] = Object.freeze(Object.keys(OVER_GRAPHQL) as SuiteName[])

export interface ConformanceOptions {
  /** The host's declaration of the type. */
  readonly replicable: Replicable<never>
  /** How the host inserts a row of it. */
  readonly insertRow: InsertRow
  /** As for `scratchDatabases`; or what opens databases, with all migrations of the host run and no sites. */
  readonly databases: ScratchOptions | (() => Promise<TestDatabases>)
  /** What an operator selects so that a secondary holds only what belongs to an owner. Default: the type has no scope. */
  readonly selectOwner?: (owner: string) => SelectiveSync
  /** A word by which `search` of the type finds this row of the host and no other. Default: the type has no search. */
  readonly keywordOf?: (row: Record<string, unknown>) => string
  /** `geoGraphql()` of express-geo-replication/graphql, made for this. Default: the GraphQL suites are left out. */
  readonly graphql?: GraphqlPart
  /** Which suites. Default: all that apply to the type; those over GraphQL need `graphql`. */
  readonly suites?: readonly SuiteName[]
}

// On a machine that does much else besides. Runners give a spec five seconds by themselves.
const SPEC_TIMEOUT_MS = 60_000
const OPENING_TIMEOUT_MS = 180_000

/**
 * Registers the suites that show that a type of the host keeps what the SDK promises: on two sites in this process, on databases
 * of their own that are opened before and dropped after. Call it at the top of a spec file or in a `describe`.
 */
export function conformance(runner: TestRunner, options: ConformanceOptions): void {
  const { replicable, insertRow, graphql, suites = graphql ? [...SUITES, ...GRAPHQL_SUITES] : SUITES } = options
  const { databases, selectOwner, keywordOf } = options
  let opened: TestDatabases | null = null
  let bench: Bench | null = null

  const subject: Subject = {
    replicable,
    bench() {
      if (!bench) throw new Error('The sites are open while the specs run, not while they are declared')
      return bench
    },
    ...(selectOwner && { selectOwner }),
    ...(keywordOf && { keywordOf }),
  }
  const patient: TestRunner = { ...runner, it: (title, body) => runner.it(title, body, SPEC_TIMEOUT_MS) }
  const ask = asking(() => subject.bench().secondary.url)

  runner.describe(`conformance of ${(replicable as Replicable).name}`, () => {
    runner.beforeAll(async () => {
      opened = await (typeof databases === 'function' ? databases() : scratchDatabases(databases))
      bench = await openBench({
        replicable,
        databases: opened,
        insertRow,
        secondary: {
          authorize: (request, ability) => request.get(ROLE_HEADER) === 'reader' && ability === 'read_geo',
          ...(graphql && { graphql }),
        },
      })
    }, OPENING_TIMEOUT_MS)
    runner.afterAll(async () => {
      await bench?.close()
      await opened?.destroy()
    }, OPENING_TIMEOUT_MS)

    for (const name of suites) BY_NAME[name](patient, subject, ask)
  })
}
