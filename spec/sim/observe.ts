import { type Digest, decodeDigest } from '../../lib/blob/digest.ts'
import type { Blob } from './blob.ts'
import { readFiles } from './disk.ts'
import { nameOf, TYPE_NAMES, type TypeName } from './types.ts'
import type { World } from './world.ts'

/** What the primary has recorded of a row's bytes. */
export interface Recorded {
  readonly type: TypeName
  readonly id: string
  readonly state: number | null
  readonly digest: Digest | null
  readonly failure: string | null
}

/** A registry row of the secondary. */
export interface Registered {
  readonly type: TypeName
  readonly id: string
  readonly state: number
  readonly verificationState: number
  readonly digest: Digest | null
  readonly key: string | null
  readonly supersededKeys: readonly string[]
  readonly going: boolean
  readonly leaseId: string | null
  readonly failure: string | null
}

/** Both sites, seen from outside. */
export interface Observation {
  readonly recorded: ReadonlyMap<string, Recorded>
  readonly registered: ReadonlyMap<string, Registered>
  /** How many registry rows there are; a record has one at most. */
  readonly registryRows: number
  readonly primaryFiles: ReadonlyMap<string, Blob>
  readonly copies: ReadonlyMap<string, Blob>
}

const RECORDED = `
  select 'widget' as type, h.id::text, s.verification_state as state, s.verification_checksum as checksum, s.verification_failure as failure
  from widgets h left join widget_states s on s.widget_id = h.id
  union all
  select 'gadget', id::text, verification_state, verification_checksum, verification_failure from gadgets
  union all
  select 'sketch', h.id::text, s.verification_state, s.verification_checksum, s.verification_failure
  from sketches h left join sketch_states s on s.sketch_id = h.id`

const REGISTERED = TYPE_NAMES.map(
  (type) => `
  select '${type}' as type, ${type}_id::text as id, state, verification_state as "verificationState",
    verification_checksum as checksum, blob_key as key, coalesce(superseded_keys, '{}') as "supersededKeys",
    removal_requested_at is not null as going, lease_id::text as "leaseId", last_sync_failure as failure
  from ${type}_registry`,
).join(' union all ')

export async function observe(world: World): Promise<Observation> {
  const [recorded, registered] = await Promise.all([world.main.raw(RECORDED), world.tracking.raw(REGISTERED)])
  return {
    recorded: byName<Recorded>(recorded.rows),
    registered: byName<Registered>(registered.rows),
    registryRows: registered.rows.length,
    primaryFiles: readFiles(world.primary.root),
    copies: readFiles(world.secondary.root),
  }
}

type Stored<Seen> = Omit<Seen, 'digest'> & { type: TypeName; id: string; checksum: Buffer | null }

function byName<Seen>(rows: readonly Stored<Seen>[]): Map<string, Seen> {
  return new Map(
    rows.map(({ checksum, ...row }) => [
      nameOf(row as { type: TypeName; id: string }),
      { ...row, digest: decodeDigest(checksum) } as Seen,
    ]),
  )
}
