import { beforeEach, describe, it } from 'vitest'
import { aRegistriesResolver, aRegistryType, getsRegistries } from '../../lib/testing/index.ts'
import { graphqlSubjectOf } from './ask.ts'

const runner = { describe, it, beforeEach }
const { subject, ask } = graphqlSubjectOf('widgets')

aRegistriesResolver(runner, subject, ask)
aRegistryType(runner, subject, ask)
getsRegistries(runner, subject, ask)
