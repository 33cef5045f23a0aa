import { afterAll, beforeAll, beforeEach, describe, it } from 'vitest'
import { conformance, GRAPHQL_SUITES } from '../../lib/testing/index.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { WIDGETS } from './subjects.ts'

// Apart, for these run with two versions of graphql.
const runner = { describe, it, beforeEach, beforeAll, afterAll }
conformance(runner, { ...WIDGETS, graphql: geoGraphql(), suites: GRAPHQL_SUITES })
