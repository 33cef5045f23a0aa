import { GeoError } from '../errors.ts'
import type { Replicable } from './replicable.ts'

/**
 * The type that somebody has named.
 * @throws GeoError `UNKNOWN_REPLICABLE`, which says what is declared
 */
export function declaredType(byName: ReadonlyMap<string, Replicable>, name: string): Replicable {
  const replicable = byName.get(name)
  if (replicable) return replicable
  const declared = [...byName.keys()].join(', ') || 'none'
  throw new GeoError('UNKNOWN_REPLICABLE', `No type is named ${JSON.stringify(name)}; declared: ${declared}`)
}
