import { beforeEach, describe, it } from 'vitest'
import {
  aBlobReplicator,
  aFrameworkRegistry,
  aFrameworkRegistryFinder,
  aSiteStatus,
  aVerifiableModel,
} from '../../lib/testing/index.ts'
import { subjectOf } from './bench.ts'

const runner = { describe, it, beforeEach }
const subject = subjectOf('gadgets')

aBlobReplicator(runner, subject)
aFrameworkRegistry(runner, subject)
aFrameworkRegistryFinder(runner, subject)
aVerifiableModel(runner, subject)
aSiteStatus(runner, subject)
