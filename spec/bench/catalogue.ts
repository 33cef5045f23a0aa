import { checksumMany } from './checksum-many.ts'
import { checksumOne } from './checksum-one.ts'
import { largeBlob } from './large-blob.ts'
import type { Measurement } from './measurement.ts'
import { mirrorLoop } from './mirror-loop.ts'
import { smallBlobs } from './small-blobs.ts'

/** Everything that can be measured, in the order of docs/performance.md. */
export const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  'checksum-one': checksumOne,
  'checksum-many': checksumMany,
  'small-blobs': smallBlobs,
  'mirror-loop': mirrorLoop,
  'large-blob': largeBlob,
}
