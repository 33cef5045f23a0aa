import { checksumMany } from './checksum-many.ts'
import { checksumOne } from './checksum-one.ts'
import { claim } from './claim.ts'
import { growth } from './growth.ts'
import { host } from './host.ts'
import { lag } from './lag.ts'
import { largeBlob } from './large-blob.ts'
import { limits } from './limits.ts'
import type { Measurement } from './measurement.ts'
import { memory } from './memory.ts'
import { mirrorLoop } from './mirror-loop.ts'
import { processes } from './processes.ts'
import { reconcile } from './reconcile.ts'
import { smallBlobs } from './small-blobs.ts'
import { statements } from './statements.ts'
import { status } from './status.ts'
import { verify } from './verify.ts'

/** Everything that can be measured, in the order of docs/performance.md. */
export const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  limits,
  'checksum-one': checksumOne,
  'checksum-many': checksumMany,
  'small-blobs': smallBlobs,
  'mirror-loop': mirrorLoop,
  'large-blob': largeBlob,
  verify,
  lag,
  host,
  claim,
  reconcile,
  status,
  processes,
  statements,
  growth,
  memory,
}
