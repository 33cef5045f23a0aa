import { z } from 'zod'
import type { Assembly } from './assembly.ts'
import type { Replicable } from './blob/replicable.ts'
import { chosenTypes } from './chosen-types.ts'
import { heartbeatOf } from './databases.ts'
import { GeoError } from './errors.ts'
import { whileRenewing } from './renewal.ts'
import { parseSampleSize } from './verification/draw.ts'
import { type SampleProgress, type SampleResult, sampleVerified } from './verification/sample.ts'

/** What is asked of a sampled verification. */
export interface SampleRequest {
  /** Of each type: a share of its verified files like `'1%'`, or a number of them from 1 to 100,000. */
  readonly sample: string | number
  /** Declared types or their names. Default: all whose flag is on for this site. */
  readonly types?: readonly (Replicable<never> | string)[] | undefined
  /** The seed of an earlier result draws the same again. Default: by chance. */
  readonly seed?: number | undefined
  /** Called after each batch of at most 100 files. */
  readonly onProgress?: ((progress: SampleProgress) => void) | undefined
  /** Ends it early; verdicts that have been reached stay recorded. */
  readonly signal?: AbortSignal | undefined
}

const requestShape = z.strictObject({
  sample: z.union([z.string(), z.number()]),
  types: z.array(z.union([z.string(), z.object({ name: z.string() }).transform(({ name }) => name)])).optional(),
  seed: z.int().min(0).optional(),
  onProgress: z
    .custom<(progress: SampleProgress) => void>((value) => typeof value === 'function')
    .default(() => () => undefined),
  signal: z.instanceof(AbortSignal).optional(),
})

const SEEDS = 2 ** 32

/** Samples one type after another, on either role. */
export async function verifySample(
  assembly: Pick<Assembly, 'settings' | 'byName' | 'databases' | 'sites' | 'gate' | 'leases' | 'sources'>,
  input: SampleRequest,
): Promise<SampleResult[]> {
  const { settings, databases, sites, leases, sources } = assembly
  const { clock } = settings
  const parsed = requestShape.safeParse(input)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new GeoError('INVALID_REQUEST', problems.join('; '))
  }
  const { types, onProgress, signal = new AbortController().signal } = parsed.data
  const size = parseSampleSize(parsed.data.sample)
  const seed = parsed.data.seed ?? Math.floor(clock.random() * SEEDS)
  await sites.ensureFresh()
  const onPrimary = sites.requireMe().primary
  sites.requireUnfenced()
  const replicables = chosenTypes(assembly, types)
  return whileRenewing(leases, heartbeatOf(databases, sites.role), settings, async () => {
    const results: SampleResult[] = []
    for (const replicable of replicables) {
      const work = onPrimary ? sources.hash : sources.verify
      results.push(await sampleVerified(work, replicable, { size, seed }, { clock, signal, onProgress }))
    }
    return results
  })
}
